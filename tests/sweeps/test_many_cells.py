"""Many cells, of which a tenth fails: what failed is listed, memory stays, and the next call repeats those alone.

The engine, its watchdogs, locks and processes are the real ones; the trainings are copies of one (cheap_cells.py).
NEUROPROMPT_CELLS says how many cells there are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from cheap_cells import write_script

import neuroprompt as npt
from neuroprompt.contracts.specs import BackboneSpec
from neuroprompt.progress import Progress
from neuroprompt.sweeps.cells import grid
from neuroprompt.training.config import configure

CELLS = int(os.environ.get("NEUROPROMPT_CELLS", "30"))
RATES = [0.1, 0.2]
SMALL = configure(method="linear", epochs=1, limit=20, batch=8, backbone=BackboneSpec(random=True, image_size=16))
KIB_A_CELL = 64
"""Much more than its names and numbers take, and much less than one of its files or processes."""

T = TypeVar("T")


class Noting(Progress):
    """Keeps what is said, and how much memory this process has after each step."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.kib: list[int] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        for item in items:
            self.kib.append(resident())
            yield item


def resident() -> int:
    """KiB of memory that this process has."""
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmRSS:") + 1])


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_tenth_of_many_cells_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = npt.sweep(grid(SMALL, lr=RATES[:1]), tmp_path / "first", seeds=(0,))
    run = next((tmp_path / "first" / "runs").iterdir())
    script = write_script(tmp_path, run, next((tmp_path / "first" / "tests").iterdir()))
    monkeypatch.setattr(sys, "executable", str(script))
    ran = tmp_path / "ran"
    points, seeds = grid(SMALL, lr=RATES), range(CELLS // len(RATES))
    wrong = {f"lr={rate},seed={seed}" for rate in RATES for seed in seeds if seed % 10 == 3}
    noting = Noting()

    swept = npt.sweep(points, tmp_path / "many", seeds=seeds, progress=noting)

    assert {failed.cell for failed in swept.failed} == wrong
    assert {failed.error for failed in swept.failed} <= {
        "a cell that is wrong",
        "was killed by signal 9",
        *(f"ended well, but {tmp_path}/many/runs/{name}/metrics.json is not there" for name in wrong),
    }
    trained = [line for line in ran.read_text().splitlines() if line.startswith("train ")]
    assert len(trained) == len(set(trained)) == CELLS
    tenth = len(noting.kib) // 10
    print(f"{CELLS} cells: {noting.kib[tenth] >> 10} MiB after a tenth of them, {noting.kib[-1] >> 10} MiB at the end")
    assert noting.kib[-1] - noting.kib[tenth] < KIB_A_CELL * CELLS

    ran.write_text("")
    (tmp_path / "sound").touch()
    again = npt.sweep(points, tmp_path / "many", seeds=seeds)

    assert again.failed == ()
    repeated = [line for line in ran.read_text().splitlines() if line.startswith("train ")]
    assert {line.rpartition("/")[2] for line in repeated} == wrong
    assert len(repeated) == len(wrong)
    assert again.done == CELLS
    assert again.table[0].accuracy == {"clean": dict.fromkeys(seeds, first.table[0].accuracy["clean"][0])}
