"""Nothing that writes is left out of the campaign: each verb, each option that names a file, each target of an export.

And SECURITY.md's tables add up.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from killing_rows import COMMANDS

from neuroprompt.cli._app import app
from neuroprompt.contracts.deployment import Exporter

SECURITY = (Path(__file__).parents[2] / "SECURITY.md").read_text()
WRITES_NOTHING = {"methods", "backbones", "recipes", "doctor", "targets list"}
READ = {
    *("--accuracy", "--calibrate", "--classifier", "--images", "--input", "--inputs", "--labels", "--list", "--onnx"),
    *("--recipe", "--weights"),
}
"""Options whose file is read."""


def verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if not below:
        yield name, command
    for word, each in (below or {}).items():
        yield from verbs(each, f"{name} {word}".strip())


VERBS = dict(verbs(typer.main.get_command(app)))


def files_of(command: Any) -> Iterator[str]:
    """The first name of each option that takes a path, or says that it takes a file."""
    signature = inspect.signature(command.callback).parameters
    for option in command.params:
        takes = str(signature[option.name].annotation) if option.name in signature else ""
        if option.opts[0].startswith("--") and ("Path" in takes or "FILE" in (option.metavar or "")):
            yield option.opts[0]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_writes_is_killed(verb: str) -> None:
    typed = [case.words.split() for case in COMMANDS if case.words.startswith(verb)]
    assert bool(typed) != (verb in WRITES_NOTHING)
    written = set(files_of(VERBS[verb])) - READ
    assert written <= {word for words in typed for word in words}


def test_options_that_are_read_are_there() -> None:
    assert {option for command in VERBS.values() for option in files_of(command)} >= READ


def test_every_target_of_an_export_is_killed() -> None:
    words = [case.words.split() for case in COMMANDS if case.words.startswith("export")]
    assert {each[each.index("--target") + 1] for each in words} == set(Exporter.names())


# --- SECURITY.md -----------------------------------------------------------------------------------------------------


def table_under(first: str) -> list[list[str]]:
    """The rows of the table whose first cell is this, without its head."""
    lines = SECURITY[SECURITY.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def number(cell: str) -> float:
    return float(cell.replace(",", "").removesuffix(" s"))


def added_up(first: str) -> tuple[list[list[str]], list[str]]:
    """The rows and the last one, which is their sum by column, and in the last column the most."""
    *rows, total = table_under(first)
    assert total[0] == "all"
    for column in range(1, len(total) - 1):
        assert sum(number(row[column]) for row in rows) == number(total[column])
    assert max(number(row[-1]) for row in rows) == number(total[-1])
    return rows, total


def test_the_kills_of_security_md_add_up() -> None:
    """By column over the commands, and by row over the ways; each row is at most as much hit as killed."""
    rows, total = added_up("command")
    for row in (*rows, total):
        assert sum(map(number, row[3:8])) == number(row[1])
        assert number(row[2]) <= number(row[1])
    full = sum(number(row[1]) >= 100 for row in rows)
    assert f"{full} of {len(rows)} rows" in SECURITY


def test_the_damaged_files_of_security_md_add_up() -> None:
    """By column over the kinds, and by row over what became of them."""
    rows, total = added_up("file")
    for row in (*rows, total):
        assert sum(map(number, row[2:-1])) == number(row[1]), row[0]
    (images,) = (number(row[1]) for row in rows if row[0].startswith("images"))
    assert f"{total[1]} damaged files" in SECURITY
    assert f"{number(total[1]) - images:,.0f} are no images" in SECURITY
    many = sum(number(row[1]) >= 500 for row in rows)
    assert f"{many} of the {len(rows)} kinds" in SECURITY
