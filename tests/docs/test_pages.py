"""README and the documentation: every code block runs, and what is generated from the program is whole."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import blocks
import generated
import page_commands
import pytest
import typer.main
import yaml
from materials import materials_of
from one_maker import made_once

import neuroprompt
from neuroprompt import errors
from neuroprompt.cli._app import VERBS, app

ROOT = Path(__file__).resolve().parents[2]
SLOW = {"README", "how-to/cluster", "how-to/python", "how-to/report", "tutorials/deploy", "tutorials/loihi"}
"""Pages that run many simulators, time graphs, start more processes, write a report, or go on from README's own run."""
LONGEST = {"how-to/cluster": 150, "tutorials/loihi": 130}
"""Seconds. The tutorial makes what pages need, for which others would wait if they began with it."""


verbs_page = cache(generated.verbs)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix("")).removeprefix("docs/")


@pytest.fixture(scope="session")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What slow pages need: one run and its bundles, made by whichever process comes first."""
    return materials_of(tmp_path_factory)


@pytest.fixture(scope="session")
def short_materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a run of one epoch: enough for what the other pages print, where numbers may differ."""
    needs = list(blocks.MATERIALS)
    return made_once(tmp_path_factory, "short", lambda folder: blocks.prepare(needs, folder, short=True))


def pages() -> list[object]:
    def marks(name: str) -> list[pytest.MarkDecorator]:
        longest = [pytest.mark.longest(LONGEST[name])] if name in LONGEST else []
        return [*([pytest.mark.slow] if name in SLOW else []), *longest]

    shown = {named(page): page for page in blocks.PAGES if blocks.blocks_of(page)}
    return [pytest.param(page, id=name, marks=marks(name)) for name, page in shown.items()]


@pytest.mark.parametrize("page", pages())
def test_the_blocks_of_a_page_run_and_print_what_it_shows(
    page: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = "materials" if named(page) in SLOW else "short_materials"
    blocks.run_page(page, request.getfixturevalue(made) if blocks.needs_of(page) else tmp_path)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a │ 1.5 │\n", "a ┃ 27.25 ┃\n", True),
        ("a 1\n...\nd\n", "a 2\nb\nc\nd\n", True),
        ("a 1\n", "b 1\n", False),
        ("a 1\n", "a 1\nmore\n", False),
        ("a 1\n...\nd\n", "a 2\nb\n", False),
    ],
)
def test_outputs_are_alike_but_for_numbers_and_frames(shown: str, printed: str, same: bool) -> None:
    assert page_commands.alike(shown, printed) is same


def test_a_page_may_show_simulators_that_are_not_here() -> None:
    assert page_commands.alike("lava 1\nloihi 2\n", "loihi 3\n", some=True)
    assert not page_commands.alike("loihi 2\n", "loihi 3\nlava 1\n", some=True)


def test_a_page_that_shows_something_else_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    for text, said in (
        ("```console\n$ echo right\nwrong\n```\n", "printed"),
        ("```console\n$ false\n```\n", "code 1"),
        ("```python\nraise ValueError('x')\n```\n", "ValueError: x"),
        ("```sh\nexit 3\n```\n", "code 3"),
        ("<!-- not run: a reason -->\n```sh\nneuroprompt train --no-such-option\n```\n", "does not parse"),
        ("```console\n$ neuroprompt train --method no-such\nerror: nothing\n```\n", "printed"),
    ):
        page.write_text(text)
        with pytest.raises(page_commands.Differs, match=said):
            blocks.run_page(page, tmp_path)


def test_write_puts_outputs_into_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    text = "a\n```console\n$ echo right\nwrong\n$ echo 1\n```\nb\n```python\nx = 1\n```\n```sh\nexit 0\n```\nc\n"
    page.write_text(text)
    assert blocks.run_page(page, tmp_path, write=True) == text.replace("wrong", "right")


def test_examples_of_the_help_parse() -> None:
    command = typer.main.get_command(app)
    text = verbs_page()
    examples = [line[2:] for line in text.splitlines() if line.startswith("$ neuroprompt ") and "[OPTIONS]" not in line]
    assert len(examples) > len(getattr(command, "commands", {}))
    for example in examples:
        page_commands.check_parses(example.partition(" > ")[0])


def test_the_generated_pages_name_everything() -> None:
    verbs, face, parts, prices = verbs_page(), generated.python(), generated.parts(), generated.prices()
    assert [verb for verb in VERBS if f"## `neuroprompt {verb}`" not in verbs] == []
    assert "[bold]" not in verbs
    names = [getattr(getattr(neuroprompt, name), "__qualname__", "") for name in neuroprompt.__all__]
    assert [name for name in names if name not in face + "NeuropromptError"] == []
    for kind in generated.kinds():
        page = prices if kind.kind == "price list" else parts
        assert [name for name in kind.names() if name not in page] == [], kind.kind
        assert kind.__name__ in generated.contracts()
    raised = [name for name, value in vars(errors).items() if isinstance(value, type)]
    assert [name for name in raised if name not in generated.error_list()] == []


def test_a_docstring_becomes_prose_and_equations() -> None:
    lines = generated.rst(["One `name` of *all*.", "", "a   = b_c", "dd  = |x|", "", "More."])
    assert lines == [r"One ``name`` of \*all\*.", "", "::", "", "    a   = b_c", "    dd  = |x|", "", "More.", ""]


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert text.count("<!-- demo -->") == text.count("<!-- tests -->") == 1
    for file in (*ROOT.glob("*.md"), *(ROOT / "neuroprompt").rglob("*.md")):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL))
        assert [link for link in links if not (file.parent / link).exists()] == [], file


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == neuroprompt.__version__
    assert citation["license"] == "Apache-2.0"
