"""Writes the pages of the reference that the program itself knows: verbs, Python, parts, prices, errors, NIR support.

`conf.py` calls it before Sphinx reads the pages; they appear in docs/reference/generated/ and are not committed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.cli
import typer.main

import neuroprompt
from neuroprompt import errors
from neuroprompt.contracts import deployment, learning
from neuroprompt.contracts.deployment import Prices, SpikingTarget, Target
from neuroprompt.energy.units import si
from neuroprompt.plugin import Plugin

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [file for room in ("neuroprompt", "export", "targets") for file in sorted((ROOT / room).rglob("*.py"))]


def kinds() -> list[type[Plugin]]:
    """Every kind of part, in the order of the contracts' two pages."""
    found = [value for page in (learning, deployment) for value in vars(page).values() if inspect.isclass(value)]
    return list(dict.fromkeys(kind for kind in found if issubclass(kind, Plugin) and "folder" in vars(kind)))


def verbs() -> str:
    """The command's own help, as typer writes it; the examples at the end of a verb as a block to copy."""
    from neuroprompt.cli._app import app

    command = typer.main.get_command(app)
    context = command.make_context("neuroprompt", [], resilient_parsing=True)
    text = typer.cli.get_docs_for_click(obj=command, ctx=context, name="neuroprompt", title="The command")  # type: ignore[arg-type]
    examples = re.compile(r"^\[bold\]Examples\[/bold\]\n\n((?:  \$ .*\n+)+)", re.MULTILINE)
    text = examples.sub(lambda block: "```console\n" + re.sub(r"\n+  ", "\n", block[1].strip()) + "\n```\n\n", text)
    return text.replace(r"\[", "[").replace("{RUN...}...", "RUN...")


def python() -> str:
    """Every public name, with its signature and docstring."""
    groups: dict[str, list[str]] = {"Functions": [], "Classes": []}
    for name in sorted(neuroprompt.__all__, key=str.lower):
        value = getattr(neuroprompt, name)
        if inspect.isclass(value):
            groups["Classes"].append(_directive("class", value, "members"))
        elif callable(value):
            groups["Functions"].append(_directive("function", value))
    parts = [f"## {title}\n\n" + "\n".join(entries) for title, entries in groups.items() if entries]
    opening = "Names are imported at their first use: `import neuroprompt as npt` takes no time.\n"
    return "\n".join(["# Python", "", opening, *parts])


def contracts() -> str:
    """What each kind of part promises."""
    entries = [f"(contract-{_slug(kind)})=\n## {kind.__name__}\n\n{_directive('class', kind, 'members')}" for kind in kinds()]
    opening = "A part is one class in one file. These are the classes that it may derive from.\n"
    return "\n".join(["# Contracts of parts", "", opening, *entries])


def parts() -> str:
    """Every part of every kind, with the first line of its docstring and its settings."""
    pages = ["# Parts", "", "Every part that this version has. The name is what you type; the file has the same name.", ""]
    for kind in kinds():
        if kind is Prices:
            continue
        named = [(name, kind.part(name)) for name in kind.names()]
        settings = any(_settings(part) for _, part in named)
        columns = ("name", "what it is") + (("settings",) if settings else ())
        rows = [(f"`{name}`", _first(part), *([_settings(part)] if settings else [])) for name, part in named]
        pages += [f"## {kind.kind.capitalize()}s", "", *_table(columns, rows), ""]
    return "\n".join(pages)


def prices() -> str:
    """Every price list: each figure beside its source, and what the list leaves out."""
    pages = [
        "# Price lists",
        "",
        "Joules for one event, as published. `--prices NAME` takes a list; [write your own](../../how-to/prices.md).",
        "",
    ]
    for name in Prices.names():
        part = Prices.part(name)
        pages += [f"## {name}", "", f"{_escaped(part.title)}; {part.technology}, {part.voltage}; {part.scope}, {part.evidence}.", ""]
        rows = [(event, si(price.joules), _range(price), _escaped(price.source)) for event, price in part.prices.items()]
        if part.watts is not None:
            rows.append(("a second", f"{part.watts.joules * 1e3:g} mJ", _range(part.watts), _escaped(part.watts.source)))
        pages += [*_table(("event", "price", "range", "source"), rows), ""]
        pages += [f"- {event} cost nothing more: {_escaped(why)}" for event, why in part.includes.items()]
        pages += ["" if part.includes else "", f"It leaves out: {_escaped(part.leaves_out)}.", ""]
    return "\n".join(pages)


def error_list() -> str:
    """The tree at the top of errors.py, and which rooms raise each error."""
    tree = (errors.__doc__ or "").partition("\n\n")[2].rpartition("\n\n")[0]
    raised: dict[str, set[str]] = {}
    for file in SOURCES:
        room = file.relative_to(ROOT).parts[-2]
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                raised.setdefault(node.exc.func.id, set()).add(room)
    classes = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.NeuropromptError)]
    rows = [
        (f"`{error.__name__}`", _escaped((error.__doc__ or "").partition("\n")[0]), ", ".join(sorted(raised.get(error.__name__, ()))))
        for error in classes
        if error is not errors.NeuropromptError
    ]
    return "\n".join(
        [
            "# Errors",
            "",
            "What a user can mend is a `NeuropromptError`. The command prints it as one line (what it got, what it expected,",
            "what to type) and exits with code 2; with `--json` it is an object on stderr, and stdout stays empty. Anything else",
            "that is raised is a bug.",
            "",
            "| exit code | meaning |",
            "|---|---|",
            "| 0 | done |",
            "| 1 | `verify` found a difference that must not be |",
            "| 2 | a mistake that you can mend, in one line |",
            "| 130 | stopped by Ctrl-C; the same command goes on |",
            "",
            f"```text\n{inspect.cleandoc(tree)}\n```",
            "",
            *_table(("error", "raised for", "by"), rows),
            "",
            _directive("class", errors.NeuropromptError, "members"),
        ]
    )


def nir_support() -> str:
    """Which targets run a graph of each kind: asked of their code."""
    from neuroprompt.simulators.nir_support import supported

    targets = {name: target for name in Target.names() if isinstance(target := Target.named(name), SpikingTarget)}
    matrix = {name: supported(target) for name, target in targets.items()}
    features = list(next(iter(matrix.values())))
    rows = [(feature, *("no" if matrix[name][feature] else "yes" for name in matrix)) for feature in features]
    reasons: dict[str, list[str]] = {}
    for name, of_target in matrix.items():
        for feature, why in of_target.items():
            if why:
                reasons.setdefault(str(why), []).append(f"{name} ({feature})")
    return "\n".join(
        [
            "# What of NIR runs where",
            "",
            "Asked of every target's own code, as `neuroprompt targets list` does.",
            "",
            *_table(("a graph with", *matrix), rows),
            "",
            "## Why not",
            "",
            *[f"- {', '.join(who)}: {_escaped(why)}" for why, who in reasons.items()],
        ]
    )


PAGES = {
    "verbs": verbs,
    "python": python,
    "contracts": contracts,
    "parts": parts,
    "prices": prices,
    "errors": error_list,
    "nir": nir_support,
}


def write(folder: Path) -> None:
    """Write every page into `folder`; one that has not changed keeps its time, so that Sphinx does not read it again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        file, text = folder / f"{name}.md", page().rstrip() + "\n"
        if not file.is_file() or file.read_text() != text:
            file.write_text(text)


def rst(docstring: Iterable[str]) -> list[str]:
    """A docstring of ours as reStructuredText: prose with `code` in it, equations and tables as they stand."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc("\n".join(docstring))):
        rows = paragraph.splitlines()
        if any(row.startswith(" ") or re.search(r"\S  ", row) for row in rows):
            lines += ["::", "", *(f"    {row}" for row in rows), ""]
        else:
            lines += [_rst_prose(row) for row in rows] + [""]
    return lines


def _rst_prose(row: str) -> str:
    parts = re.split(r"(`[^`]+`)", row)
    return "".join(f"`{part}`" if part[:1] == "`" and part[1:] else re.sub(r"([*|_`\\<>])", r"\\\1", part) for part in parts)


def _directive(kind: str, value: Any, *options: str) -> str:
    name = f"{value.__module__}.{value.__qualname__}"
    shown = "".join(f"   :{option}:\n" for option in options)
    return f"```{{eval-rst}}\n.. auto{kind}:: {name}\n{shown}```\n"


def _first(part: type[Plugin]) -> str:
    module = importlib.import_module(part.__module__)
    return _escaped((getattr(part, "about", "") or (module.__doc__ or "")).strip().partition("\n")[0])


def _settings(part: type[Plugin]) -> str:
    defaults = {key: p.default for key, p in part.settings().items() if p.default is not inspect.Parameter.empty}
    return ", ".join(f"`{key}={value}`" for key, value in defaults.items())


def _range(price: deployment.Price) -> str:
    low, high = price.range
    return "" if low == high else f"{si(low)} to {si(high)}"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    columns = list(columns)
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _escaped(text: str) -> str:
    """Text as Markdown shows it, `code` kept."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part[:1] == "`" else re.sub(r"([\\*_<>\[\]|$])", r"\\\1", part) for part in parts)


def _slug(kind: type[Plugin]) -> str:
    return kind.__name__.lower()
