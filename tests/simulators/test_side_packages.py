"""Packages beside ours: searched first by the child, never by this process, and whole or not there."""

from __future__ import annotations

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import RuntimeMissing
from neuroprompt.simulators.runtime import Runtime
from neuroprompt.simulators.side_packages import SidePackages

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import click, numpy
print(json.dumps([click.__version__, click.__file__, numpy.__file__]))
"""


CLICK = "ae74fb96c20a0277a1d615f1e4d73c8414f5a98db8b799a7931d1582f3390c28"
"""The SHA-256 of click-8.1.7-py3-none-any.whl."""


@pytest.fixture
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SidePackages:
    """One package, of another version than ours."""
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pins.txt").write_text(f"click==8.1.7 \\\n    --hash=sha256:{CLICK}\n")
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
    overlay.requirements.write_text(f"click==0.0.0.99 --hash=sha256:{CLICK}\n")
    with pytest.raises(RuntimeMissing, match=r"^'uv pip install' failed for tiny: ") as caught:
        overlay.build()
    assert "\n" not in str(caught.value)
    assert not overlay.built
    assert not list(overlay.folder.parent.iterdir())


@pytest.mark.parametrize(
    ("pins", "words"),
    [
        (
            f"click==8.1.7 --hash=sha256:{'0' * 64}",
            "the file that was fetched for click==8.1.7 is not the pinned one: its SHA-256 differs; "
            "expected a file of pins.txt; check your package index or proxy",
        ),
        (
            "click==8.1.7",
            "'uv pip install' failed for tiny: In `--require-hashes` mode, all requirements must have a hash",
        ),
    ],
)
def test_a_file_without_the_pinned_hash_is_one_line_and_leaves_nothing(
    overlay: SidePackages, pins: str, words: str
) -> None:
    overlay.requirements.write_text(pins + "\n")
    with pytest.raises(RuntimeMissing) as caught:
        overlay.build()
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)
    assert not overlay.built
    assert not list(overlay.folder.parent.iterdir())


@pytest.mark.parametrize("name", [n for n in SpikingTarget.names() if hasattr(SpikingTarget.part(n), "runtime")])
def test_every_pin_has_the_hashes_of_its_files(name: str) -> None:
    """Pins are exact, and none of them could be fetched unchecked."""
    runtime: Runtime = SpikingTarget.part(name).runtime  # type: ignore[attr-defined]
    blocks = re.split(r"\n(?=\S)", runtime.requirements.read_text().strip())
    assert [block.splitlines()[0].rstrip("\\").strip() for block in blocks] == runtime.pins
    for block in blocks:
        assert re.match(r"[a-z0-9._-]+==[\w.+]+( ;|;| \\|$)", block), block
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)) >= 1, block
