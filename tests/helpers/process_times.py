"""Processes by their number, whoever started them: alive or not, those under them, their processor time, signals."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def family(pid: int) -> list[int]:
    """A process and all under it that have not lost their parent, the youngest last."""
    pids = [pid]
    for each in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
    return pids


def processor_seconds(pid: int) -> float:
    """What a process and those under it have taken of the processor so far."""
    seconds = 0.0
    for each in family(pid):
        with contextlib.suppress(OSError, IndexError):
            seconds += time.clock_gettime(~each << 3 | 2)  # the kernel's number of that process's clock
            ended = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[13:15]
            seconds += sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")
    return seconds


def sent(pid: int, sign: signal.Signals, group: bool = False) -> bool:
    """Send a signal to a process, or to its group; whether there was anybody."""
    try:
        (os.killpg if group else os.kill)(pid, sign)
    except ProcessLookupError:
        return False
    return True


def command_of(pid: int) -> str:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[-200:]
    except OSError:
        return "?"
