"""Which processes a test started are alive, however deep, and what shared memory they left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

PROC = Path("/proc")
SHM = Path("/dev/shm")
needs_proc = pytest.mark.skipif(not (PROC / "self/environ").exists(), reason="processes are counted in /proc")


def ownerless() -> set[str]:
    """Python's shared memory that no living process has mapped: other programs may be using theirs."""
    names, mapped = {p.name for p in SHM.glob("psm_*")}, set()
    for maps in PROC.glob("[0-9]*/maps"):
        with suppress(OSError):
            text = maps.read_text(errors="replace")
            mapped |= {name for name in names if name in text}
    return names - mapped


def marked(mark: bytes) -> dict[int, str]:
    """The command line of every living process with that mark, except this one."""
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    return found


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def assert_all_gone(mark: bytes) -> None:
    until(lambda: not marked(mark), 10)
