"""The walls of the house: imports run one way, every module says what it is for, files stay small."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from neuroprompt.contracts import deployment, learning, work
from neuroprompt.plugin import Plugin

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(p for top in ("neuroprompt", "export", "targets") for p in (ROOT / top).rglob("*.py"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LAYERS = (
    ("workers",),
    ("errors", "plugin", "progress", "files", "locks", "scratch", "extras", "processes", "interrupts"),
    ("images", "jpegs"),
    ("contracts", "spiking"),
    ("loihi", "compiler", "xylo", "robustness", "recipes"),
    ("prompts", "heads", "backbones", "data", "prices", "engines"),
    ("training", "simulators", "onnxgraph", "csource"),
    ("targets",),
    ("bundles",),
    ("energy",),
    ("export",),
    ("benchmarks",),
    ("report",),
    ("sweeps",),
    ("cli",),
    ("__init__", "__main__"),
)
"""From the ground up: a room imports its own layer and those before it."""
PARTS = ("prompts", "heads", "backbones", "data", "prices", "engines", "targets", "export")
"""Folders that are registries: nobody imports a part, everybody names it."""
LONG: dict[str, str] = {}
"""Files that may have more than 300 lines, each with the reason."""
KINDS = sorted(
    {
        kind
        for module in (learning, deployment, work)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Plugin) and "folder" in vars(kind)
    },
    key=lambda kind: kind.kind,
)


def name_of(file: Path) -> str:
    """The dotted name without the leading `neuroprompt`."""
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    parts = parts[1:] if parts[0] == "neuroprompt" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def layer_of(room: str) -> int:
    (found,) = [i for i, rooms in enumerate(LAYERS) if room in rooms]
    return found


def imports_of(file: Path) -> Iterator[str]:
    """Names below `neuroprompt` that a file imports when it runs, at its top or later; not those for type checkers."""
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = []
        for name in names:
            top, _, rest = name.partition(".")
            if top == "neuroprompt":
                yield rest if rest and room_of(rest) in ROOMS else "__init__"
        waiting += ast.iter_child_nodes(node)


ROOMS = {room_of(name_of(file)) for file in FILES}


def test_every_room_has_a_layer() -> None:
    assert {room for rooms in LAYERS for room in rooms} == ROOMS


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_run_one_way(file: Path) -> None:
    mine = name_of(file)
    for other in imports_of(file):
        if other == "__init__":  # the package itself: its version
            continue
        assert layer_of(room_of(other)) <= layer_of(room_of(mine)), f"{mine} imports {other}, which is made of it"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_nobody_imports_a_part(file: Path) -> None:
    mine = name_of(file)
    for other in imports_of(file):
        room, _, module = other.partition(".")
        if room in PARTS:
            assert room == room_of(mine), f"{mine} imports {other}; name the part instead"
            assert module.startswith("_"), f"{mine} imports its sibling part {other}"


def test_there_is_no_circle_between_rooms() -> None:
    graph: dict[str, set[str]] = {room: set() for room in ROOMS}
    for file in FILES:
        mine = room_of(name_of(file))
        graph[mine] |= {room_of(other) for other in imports_of(file)} - {mine, "__init__"}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"rooms in a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("file", FILES + EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_opens_with_what_it_is_for(file: Path) -> None:
    opening = ast.get_docstring(ast.parse(file.read_text()))
    assert opening, file
    assert opening.split("\n\n")[0].rstrip().endswith((".", ":")), opening


def test_files_stay_small() -> None:
    others = (file for room in ("tests", "docs") for file in (ROOT / room).rglob("*.py"))
    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in (*FILES, *EXAMPLES, *others)}
    assert {name: count for name, count in lines.items() if count > 300 and name not in LONG} == {}, "split them"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_kind_of_part_is_in_every_list(kind: type[Plugin]) -> None:
    """Registries, packages, and the page that says how to add one."""
    room = kind.folder.removeprefix("neuroprompt.")
    place = room if room in ("export", "targets") else f"neuroprompt/{room}"
    assert room in PARTS
    assert kind.folder in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert f"`{place}/NAME.py`" in (ROOT / "CONTRIBUTING.md").read_text()
    assert kind.names()


def test_every_package_is_shipped() -> None:
    packages = {f"neuroprompt.{name_of(f)}" for f in FILES if f.name == "__init__.py"} - {"neuroprompt.__init__"}
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(listed) == packages | {"neuroprompt"}


def test_the_project_speaks_of_itself_alone() -> None:
    names = [f"/{w}/" for w in ("work", "farm", "root")] + ["pypi." + "org", "python" + "hosted"]
    skip = {".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "build", ".gpu"}
    skip |= {folder.name for folder in ROOT.glob(".venv*")}  # one for each Python
    texts = [
        p
        for p in ROOT.rglob("*")
        if p.is_file() and p.suffix in {".py", ".md", ".toml", ".txt", ".json", ".yml"} and not skip & set(p.parts)
    ]
    assert not [(str(p), n) for p in texts for n in names if n in p.read_text(errors="ignore")]
