"""Damaged and hostile files of every kind that a user hands in: exit code 2 and one line, or a result; nothing else.

No traceback, no hang, at most 10 s of processor time and 2 GiB beside what the process has, and nothing printed that
steers a terminal. NEUROPROMPT_HOSTILE says how many files of each kind are tried (1 in CI, and those that found
something once) from number NEUROPROMPT_HOSTILE_FIRST on, NEUROPROMPT_HOSTILE_LOG names a file for a line of JSON after
each. SECURITY.md holds the figures.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from fork_server import ForkServer
from hostile_files import IMAGES, KINDS
from hostile_names import strange_pages
from hub_stand_in import Hub
from killing import fresh
from process_times import alive

CASES = int(os.environ.get("NEUROPROMPT_HOSTILE", "1"))
FIRST = int(os.environ.get("NEUROPROMPT_HOSTILE_FIRST", "0"))
CPU_SECONDS, BYTES, WALL_SECONDS = 10, 2**31, 180.0


@dataclass
class Tried:
    """What became of the files of one kind."""

    name: str
    files: int = 0
    worked: int = 0
    rejected: int = 0
    tracebacks: int = 0
    other: int = 0
    seconds: float = 0.0
    mib: float = 0.0
    faults: list[str] = field(default_factory=list)


FOUND: dict[str, tuple[int, ...]] = {
    "bundle manifest": (5,),
    "files of a bundle": (5064, 5065, 5097),
    "hub": (1,),
    "links and pipes": (7004, 7017),
    "recipes of hostile values": (1007, 1029, 1080, 1124),
    "tonic files": (1015, 1116),
    "shards": (1, 2, 4),
    "HDF5 items": (3, 120, 126),
    "rows before": (3, 4),
    "several forms": (20022,),
    "states": (149,),
    "measurements": (30004,),
}
"""Numbers of files that once gave a traceback, a hang or too much memory."""
IN_CAMPAIGN = ("several forms", "web folders", "hostile names", "checkpoints", "measurements", "searches")
"""Those that first export, report or search, which takes as long as all others."""
NEEDS = {"hf-disk folders": "datasets", "tonic files": "tonic"}
"""Optional packages that read them."""


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_files(kind: str, server: ForkServer, base: Path, hub: Hub, tmp_path: Path) -> None:
    if kind in IN_CAMPAIGN and "NEUROPROMPT_HOSTILE" not in os.environ:
        pytest.skip("in a campaign only: set NEUROPROMPT_HOSTILE")
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind], reason=f"{NEEDS[kind]} is not installed")
    tried = Tried(kind)
    log = os.environ.get("NEUROPROMPT_HOSTILE_LOG")
    for number in (*FOUND.get(kind, ()), *range(FIRST, FIRST + CASES)):
        place = tmp_path / "place"
        fresh(place, {})
        words = KINDS[kind](place, base, hub, Random(f"{kind} {number}"))
        attempt(server, words, place, number, tried)
        if log:
            with Path(log).open("a") as stream:
                stream.write(json.dumps({**vars(tried), "number": number}) + "\n")
    assert tried.faults == []


def attempt(server: ForkServer, words: str, place: Path, number: int, tried: Tried) -> None:
    """Type a command on a hostile file, within limits, and note what became of it."""
    said = place.with_name("said")
    limits = {"RLIMIT_CPU": CPU_SECONDS, "RLIMIT_AS": server.virtual_bytes() + BYTES}
    env = {"HF_HOME": str(place / "hub")}
    if (place / "cache").exists():
        env["NEUROPROMPT_CACHE"] = str(place / "cache")
    pid = server.start(words.split(), place, said, env, limits)
    until = time.monotonic() + WALL_SECONDS
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.005)
    hung = alive(pid)
    if hung:
        os.kill(pid, signal.SIGKILL)
    end = server.end()
    out, err = (Path(f"{said}.{ending}").read_text(errors="replace") for ending in ("out", "err"))
    tried.files += IMAGES if tried.name == "images" else 1
    tried.seconds = max(tried.seconds, round(end.cpu_seconds, 2))
    tried.mib = max(tried.mib, round(end.kib / 1024))
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    words = f"number {number}: {words}: exit code {end.code}"
    if "Traceback" in err or "Traceback" in out:
        tried.tracebacks += 1
        tried.faults.append(f"{words}: {err[-1500:]}")
    elif hung or end.code not in (0, 1, 2) or (end.code == 2 and len(lines) != 1):
        tried.other += 1
        tried.faults.append(f"{words}{', hung' if hung else ''}: {err[-700:]}")
    elif strange := sorted({c for c in out + err if not c.isprintable() and c not in "\n\t"}):
        tried.other += 1
        tried.faults.append(f"{words}: printed {strange}")
    elif end.code == 2:
        tried.rejected += 1
    else:
        tried.worked += 1
    if pages := strange_pages(place):
        tried.faults.append(f"{words}: a name is an element in {pages}")
    if leaked := [path for path in place.parent.iterdir() if path.name not in ("place", "said.out", "said.err")]:
        tried.faults.append(f"{words}: wrote {leaked} outside its folder")
