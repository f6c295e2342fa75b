"""The help of verbs with many options: each option in a panel of its own kind, whole paragraphs, nothing lost."""

from __future__ import annotations

from typing import Any, cast

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from neuroprompt.cli._app import app
from neuroprompt.cli._panels import panels

MANY = 14  # options that a reader still finds in one list


def verbs() -> dict[str, Any]:
    return dict(cast(TyperGroup, typer.main.get_command(app)).commands)


def test_no_panel_is_too_long_to_read() -> None:
    for name, verb in verbs().items():
        lengths: dict[str | None, int] = {}
        for option in verb.params:
            if not getattr(option, "hidden", False):
                panel = getattr(option, "rich_help_panel", None)
                lengths[panel] = lengths.get(panel, 0) + 1
        assert max(lengths.values(), default=0) <= MANY, f"{name}: {lengths}"


def test_a_verb_shows_its_panels() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"]).output
    titles = [line.split("─")[1].strip() for line in shown.splitlines() if line.startswith("╭─")]
    assert titles[0] == "Options"
    assert {"Model", "Data", "Optimisation", "Machine"} == set(titles[1:])


def test_a_panel_of_an_option_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="--nowhere"):
        panels(data="nowhere")("train", params=[])


def test_the_terminal_breaks_the_lines() -> None:
    for verb in verbs().values():
        assert all("\n" not in paragraph for paragraph in verb.help.split("\n\n"))
