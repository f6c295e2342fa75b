"""The panels of a verb's help: options that belong together stand together, under a title."""

from __future__ import annotations

import inspect
from typing import Any

import typer
from typer.core import TyperCommand

_OF_OPTIONS = "rich_help_panel"  # the attribute from which typer's help reads an option's panel


def panels(**titles: str) -> type[TyperCommand]:
    """A command class whose help has a panel per keyword, which is its title: "of_a_graph" is shown as "Of a graph".

    Each value names the options of that panel, separated by spaces, as on the command line but without the dashes
    before them. What no panel names stays in "Options", which comes first.
    """
    title_of = {
        f"--{name}": key.replace("_", " ").capitalize() for key, names in titles.items() for name in names.split()
    }

    class Grouped(TyperCommand):
        def __init__(self, *args: Any, params: list[Any], **settings: Any) -> None:
            super().__init__(*args, params=params, **settings)
            options = {word: option for option in params for word in option.opts}
            for word, title in title_of.items():
                setattr(options[word], _OF_OPTIONS, title)

    return Grouped


def whole_paragraphs(app: typer.Typer) -> None:
    """Let the terminal break the lines of each verb's help; typer keeps a docstring's after its first paragraph."""
    for command in app.registered_commands:
        text = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
