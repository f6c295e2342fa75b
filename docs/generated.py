"""Writes the pages of the reference that the program itself knows: verbs, Python, parts, prices, errors, NIR support.

`conf.py` calls it before Sphinx reads the pages; they appear in docs/reference/generated/ and are not committed.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.cli
import typer.main
from page_commands import run_command

import neuroprompt
from neuroprompt import errors
from neuroprompt.contracts import deployment, learning, work
from neuroprompt.contracts.deployment import Prices
from neuroprompt.contracts.learning import Prompt
from neuroprompt.energy.units import si
from neuroprompt.plugin import Plugin

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [file for room in ("neuroprompt", "export", "targets") for file in sorted((ROOT / room).rglob("*.py"))]

CONTRACTS = (learning, deployment, work)
PLURAL = {"backbone family": "backbone families"}


def kinds() -> list[type[Plugin]]:
    """Every kind of part, in the order of the contracts' pages."""
    found = [value for page in CONTRACTS for value in vars(page).values() if inspect.isclass(value)]
    return list(dict.fromkeys(kind for kind in found if issubclass(kind, Plugin) and "folder" in vars(kind)))


def verbs() -> str:
    """The command's own help, as typer writes it; the examples at the end of a verb as a block to copy."""
    from neuroprompt.cli._app import app

    command: Any = typer.main.get_command(app)
    context = command.make_context("neuroprompt", [], resilient_parsing=True)
    text = typer.cli.get_docs_for_click(obj=command, ctx=context, name="neuroprompt", title="The command")
    for name, verb in command.commands.items():  # typer cuts these short
        opening = " ".join((verb.help or "").partition("\n\n")[0].split())
        short = re.search(rf"^\* `{name}`: .*$", text, flags=re.MULTILINE)
        if short is not None:
            text = text.replace(short[0], f"* [`{name}`](#neuroprompt-{name}): {opening}", 1)
    examples = re.compile(r"^\[bold\]Examples\[/bold\]\n\n((?:  \$ .*\n+)+)", re.MULTILINE)
    text = examples.sub(lambda block: "```console\n" + re.sub(r"\n+  ", "\n", block[1].strip()) + "\n```\n\n", text)
    return text.replace(r"\[", "[").replace("{RUN...}...", "RUN...")


def python() -> str:
    """Every public name, with its signature and docstring; kinds of parts and errors have their own pages."""
    from neuroprompt.cli._app import VERBS

    public = [getattr(neuroprompt, name) for name in sorted(neuroprompt.__all__, key=str.lower)]
    functions = [value for value in public if inspect.isfunction(value)]
    verbs = {"evaluate" if verb == "eval" else verb: "" for verb in VERBS}
    functions.sort(key=lambda function: list(verbs).index(function.__name__) if function.__name__ in verbs else 99)
    classes = [value for value in public if inspect.isclass(value) and not issubclass(value, (Plugin, Exception))]
    returned = [value for value in map(_result, functions) if value is not None]
    results = list(dict.fromkeys([*returned, *(value for value in classes if dataclasses.is_dataclass(value))]))
    groups: dict[str, list[str]] = {
        "Verbs": [_directive("function", value) for value in functions if value.__name__ in verbs],
        "Other functions": [_directive("function", value) for value in functions if value.__name__ not in verbs],
        "Results and what verbs take": [_directive("class", value, "members") for value in results],
        "Other classes": [_directive("class", value, "members") for value in classes if value not in results],
    }
    sections = [line for title, entries in groups.items() if entries for line in (f"## {title}", "", *entries)]
    named = ", ".join(f"[`{kind.__name__}`](#contract-{_slug(kind)})" for kind in contract_classes())
    return "\n".join([PYTHON, *sections, "## Kinds of parts", "", f'{named}: `Target.named("loihi")` gives a part.'])


PYTHON = """# Python

A function for each verb of the command, and a typed result with `.json()` for each. Names are imported at first use,
so `import neuroprompt as npt` takes no time. By default nothing is printed: pass a `Progress` to see how far a call
is. [Do it in Python](../../how-to/python.md) has an example.
"""


def _result(function: Any) -> type | None:
    """The class of ours that a function returns, if it says so."""
    try:
        value = eval(str(inspect.signature(function).return_annotation), vars(inspect.getmodule(function)))
    except NameError:  # a name for type checkers alone
        return None
    return value if inspect.isclass(value) and value.__module__.startswith("neuroprompt.") else None


def contract_classes() -> list[type[Plugin]]:
    """The kinds of parts, and the narrower classes beside them that a part may derive from."""
    values = [value for page in CONTRACTS for value in vars(page).values() if inspect.isclass(value)]
    return list(dict.fromkeys(value for value in values if issubclass(value, Plugin) and value is not Plugin))


def contracts() -> str:
    """What each kind of part promises."""
    opening = "A part is one class in one file. These are the classes that it may derive from.\n"
    entries = [
        f"(contract-{_slug(kind)})=\n## {kind.__name__}\n\n{_directive('class', kind, 'members')}"
        for kind in contract_classes()
    ]
    return "\n".join(["# Contracts of parts", "", opening, *entries])


def parts() -> str:
    """Every part of every kind, with the first line of its module and its settings."""
    opening = "Every part that this version has. The name is what you type; the file has the same name."
    pages = ["# Parts", "", opening, ""]
    for kind in kinds():
        if kind is Prices:
            continue
        named = [(name, kind.part(name)) for name in kind.names()]
        columns = ("name", "what it is", *_facts(named[0][1]), "settings")
        rows = [(f"`{name}`", _first(part), *_facts(part).values(), _settings(part)) for name, part in named]
        pages += [f"## {PLURAL.get(kind.kind, kind.kind + 's').capitalize()}", "", *_table(columns, rows), ""]
    return "\n".join(pages)


def prices() -> str:
    """Every price list: each figure beside its source, and what the list leaves out."""
    opening = "Joules for one event, as published. `--prices NAME` takes a list."
    pages = ["# Price lists", "", f"{opening} To use other figures, [write your own list](../../how-to/prices.md).", ""]
    for name in Prices.names():
        part = Prices.part(name)
        about = f"{_escaped(part.title)}; {part.technology}, {part.voltage}; {part.scope}, {part.evidence}."
        rows = [
            (event, si(price.joules), _range(price), _escaped(price.source))
            for event, price in {**part.prices, **part.placed}.items()
        ]
        if part.watts is not None:
            watts = part.watts
            rows.append(("a second", f"{watts.joules * 1e3:g} mJ", _range(watts), _escaped(watts.source)))
        included = [f"- {event} cost nothing more: {_escaped(why)}" for event, why in part.includes.items()]
        table = _table(("event", "price", "range", "source"), rows)
        left_out = f"It leaves out: {_escaped(part.leaves_out)}."
        pages += [f"## {name}", "", about, "", *table, "", *included, "", left_out, ""]
    return "\n".join(pages)


def error_list() -> str:
    """The tree at the top of errors.py, and which rooms raise each error."""
    tree = textwrap.dedent((errors.__doc__ or "").partition("\n\n")[2].rpartition("\n\n")[0])
    raised: dict[str, set[str]] = {}
    for file in SOURCES:
        room = file.relative_to(ROOT).parts[-2]
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                raised.setdefault(node.exc.func.id, set()).add(room)
    base = errors.NeuropromptError
    rows = [
        (f"`{name}`", _escaped((error.__doc__ or "").partition("\n")[0]), ", ".join(sorted(raised.get(name, ()))))
        for name, error in vars(errors).items()
        if inspect.isclass(error) and issubclass(error, base) and error is not base
    ]
    tables = [f"```text\n{tree}\n```", "", *_table(("error", "raised for", "by"), rows), ""]
    return "\n".join([ERRORS, *tables, _directive("class", base, "members")])


ERRORS = """# Errors

A mistake that you can mend is a `NeuropromptError`. The command prints it as one line (what it got, what it expected,
what to type) and exits with code 2. With `--json` it is an object on stderr, and stdout stays empty. Anything else that
is raised is a bug.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | `verify` found a difference that must not be; some images of `run` or some runs of `sweep` failed |
| 2 | a mistake that you can mend, in one line |
| 130 | stopped by Ctrl-C; the same command goes on |
"""


def nir_support() -> str:
    """Which targets run a graph of each kind: asked of their code."""
    printed, _ = run_command("neuroprompt targets list --json")
    targets = json.loads(printed)["targets"]
    matrix = {name: target["supports"] for name, target in targets.items() if "supports" in target}
    features = list(next(iter(matrix.values())))
    rows = [(feature, *("no" if matrix[name][feature] else "yes" for name in matrix)) for feature in features]
    reasons: dict[str, list[str]] = {}
    for name, of_target in matrix.items():
        for feature, why in of_target.items():
            if why:
                reasons.setdefault(str(why), []).append(f"{name} ({feature})")
    return "\n".join(
        [
            "# NIR support",
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
    """Write every page into `folder`; one that has not changed keeps its time, and Sphinx does not read it again."""
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
    return "".join(f"`{part}`" if part.startswith("`") else re.sub(r"([*|_`\\<>])", r"\\\1", part) for part in parts)


def _directive(kind: str, value: Any, *options: str) -> str:
    name = f"{value.__module__}.{value.__qualname__}"
    shown = "".join(f"   :{option}:\n" for option in options)
    return f"```{{eval-rst}}\n.. auto{kind}:: {name}\n{shown}```\n"


def _facts(part: type[Plugin]) -> dict[str, str]:
    """What else a table of parts says of one."""
    if not issubclass(part, Prompt):
        return {}
    return {"enters as": part.enters, "depends on the image": "yes" if part.per_image else "no"}


def _first(part: type[Plugin]) -> str:
    module = importlib.import_module(part.__module__)
    return _escaped((getattr(part, "about", "") or (module.__doc__ or "")).strip().partition("\n")[0])


def _settings(part: type[Plugin]) -> str:
    """Name, default and meaning of each."""
    return "<br>".join(
        f"`{setting.name}`{'' if setting.required else f'`={setting.default}`'} {_escaped(setting.meaning)}"
        for setting in part.settings().values()
    ).replace("``", "")


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
