"""The examples run as they stand, and import nothing but neuroprompt (but for the script that made the backbone)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"
MAKES_THE_BACKBONE = "distil_embedded.py"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda p: p.name)
def test_an_example_imports_neuroprompt_alone(file: Path) -> None:
    if file.name == MAKES_THE_BACKBONE:
        pytest.skip("makes the embedded backbone from the teacher's real weights, with timm itself")
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert names - set(sys.stdlib_module_names) == {"neuroprompt"}


def test_the_tables_of_results_are_those_of_the_results_file(tmp_path: Path) -> None:
    script, written = FOLDER / "reproduce.py", tmp_path / "tables.md"
    subprocess.run([sys.executable, script, "--table", written], check=True, timeout=120)
    tables = written.read_text()
    assert tables.count("\n|") > 40
    assert tables in (FOLDER.parent / "RESULTS.md").read_text()


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path: Path) -> None:
    script = FOLDER / "quickstart.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "loihi-fixed: 100.00%" in done.stdout
