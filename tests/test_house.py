"""The walls of the house: imports run one way, every module says what it is for, files stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(p for top in ("neuroprompt", "export", "targets") for p in (ROOT / top).rglob("*.py"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
GROUND = ("errors", "activity", "neurons")
WINGS = ("prompts", "backbones", "energy", "data", "export", "targets", "cli")
FACE = ("neuroprompt", "neuroprompt.__main__")
LAST = ("report", "cli")
"""In this order: what puts all the rest together, and nothing else imports."""


def name_of(file: Path) -> str:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    if parts[0] in ("export", "targets"):
        parts.insert(0, "neuroprompt")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name == "neuroprompt" or name.startswith("neuroprompt.")}


def wing_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in WINGS else None


def last(name: str) -> int:
    """How late in LAST a module is; -1 where it is not."""
    package = name.split(".")[1] if "." in name else ""
    return LAST.index(package) if package in LAST else -1


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_run_one_way(file: Path) -> None:
    mine, my_wing = name_of(file), wing_of(name_of(file))
    for other in imports_of(file):
        assert mine in FACE or last(other) <= last(mine), f"{mine} imports {other}, which is made of it"
        wing = wing_of(other)
        if my_wing == "cli" or mine == "neuroprompt.__main__":
            continue
        if mine.removeprefix("neuroprompt.") in (*GROUND, "plugin"):
            allowed = {f"neuroprompt.{g}" for g in (*GROUND, "plugin")}
            assert any(other == a or other.startswith(f"{a}.") for a in allowed), f"{mine} imports {other}"
        if wing is None or other == "neuroprompt":
            continue
        assert wing != "cli", f"{mine} imports the command: {other}"
        assert wing == my_wing, f"{mine} imports another wing: {other}"
        module = other.split(".")[2] if len(other.split(".")) > 2 else "_"
        assert module.startswith("_"), f"{mine} imports its sibling part {other}"


@pytest.mark.parametrize("file", FILES + EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_opens_with_what_it_is_for(file: Path) -> None:
    opening = ast.get_docstring(ast.parse(file.read_text()))
    assert opening, file
    assert opening.split("\n\n")[0].rstrip().endswith((".", ":")), opening


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_files_stay_small(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 300


def test_the_project_speaks_of_itself_alone() -> None:
    names = [f"/{w}/" for w in ("work", "farm", "root")] + ["pypi." + "org", "python" + "hosted"]
    skip = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
    texts = [
        p
        for p in ROOT.rglob("*")
        if p.is_file() and p.suffix in {".py", ".md", ".toml", ".txt", ".json", ".yml"} and not skip & set(p.parts)
    ]
    assert not [(str(p), n) for p in texts for n in names if n in p.read_text(errors="ignore")]
