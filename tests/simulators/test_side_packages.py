"""Packages beside ours: searched first by the child, never by this process, and whole or not there."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from neuroprompt.errors import RuntimeMissing
from neuroprompt.simulators.side_packages import SidePackages

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import click, numpy
print(json.dumps([click.__version__, click.__file__, numpy.__file__]))
"""


@pytest.fixture
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SidePackages:
    """One package, of another version than ours."""
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pins.txt").write_text("click==8.1.7\n")
    return SidePackages("tiny", tmp_path / "pins.txt")


def test_the_child_takes_its_packages_first_and_ours_for_the_rest(overlay: SidePackages, tmp_path: Path) -> None:
    import numpy

    with pytest.raises(RuntimeMissing, match="run 'neuroprompt targets install tiny'"):
        overlay.run(tmp_path / "script.py", [], 10)
    with ThreadPoolExecutor(3) as pool:
        for builder in [pool.submit(overlay.build) for _ in range(3)]:
            builder.result()
    assert overlay.built
    assert [p.name for p in overlay.folder.parent.iterdir()] == [overlay.folder.name]
    (tmp_path / "script.py").write_text(SCRIPT)
    version, where, ours = json.loads(overlay.run(tmp_path / "script.py", [str(overlay.folder)], 60))
    assert version == "8.1.7"
    assert Path(where).is_relative_to(overlay.folder)
    assert ours == numpy.__file__
    assert str(overlay.folder) not in sys.path
    spec = find_spec("click")
    assert spec is None or not str(spec.origin).startswith(str(overlay.folder))


def test_pins_that_cannot_be_had_are_one_line_and_leave_nothing(overlay: SidePackages) -> None:
    overlay.requirements.write_text("click==0.0.0.99\n")
    with pytest.raises(RuntimeMissing, match=r"^'uv pip install' failed for tiny: ") as caught:
        overlay.build()
    assert "\n" not in str(caught.value)
    assert not overlay.built
    assert not list(overlay.folder.parent.iterdir())
