"""Child processes that die with us: their guard, their end, and what became of them in a few words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

WATCHDOG = Path(__file__).parent / "workers" / "watchdog.py"
KILL_SECONDS = 2.0


def guarded(command: Sequence[str], python: str = sys.executable) -> list[str]:
    """`command` under a watchdog that ends its process group as soon as we are dead; for start_new_session."""
    return [python, "-I", "-S", str(WATCHDOG), str(os.getpid()), *command]


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End every process of the child's group, and reap the child."""
    # SIGTERM first: Python's resource tracker heeds only the end of its pipe, and then frees shared memory.
    for sign in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + KILL_SECONDS
        while time.monotonic() < until:
            try:
                os.killpg(child.pid, sign)
            except ProcessLookupError:
                child.wait()
                return
            child.poll()
            time.sleep(0.01)
    child.wait()


def what_happened(code: int | None, seconds: float, complaint: str) -> str:
    """Of a child that failed: its exit code, None where its time was over, and the end of what it complained of."""
    if code is None:
        return f"did not end within its time limit of {seconds:g} s"
    killed = -code if code < 0 else code - 128
    if killed > 0:
        return f"was killed by signal {killed}"
    return f"failed with exit code {code}: {last_line(complaint)}"


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
