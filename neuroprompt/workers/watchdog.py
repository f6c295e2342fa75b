"""Run a worker, and end its whole process group when the parent is gone: watchdog.py PARENT_PID COMMAND..."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_SECONDS = 1.0
POLL_SECONDS = 0.2


def main() -> int:
    """Run the command; its exit code, or 128 + the signal that killed it."""
    parent = int(sys.argv[1])
    # SIGTERM goes to the whole group and the watchdog outlives it; a handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGTERM, lambda *_: None)
    worker = subprocess.Popen(sys.argv[2:])
    ends = [end for end in map(end_of, (parent, worker.pid)) if end is not None]
    while os.getppid() == parent:
        code = worker.poll()
        if code is not None:
            return code if code >= 0 else 128 - code
        if len(ends) == 2:
            select.select(ends, [], [])
        else:
            time.sleep(POLL_SECONDS)
    # SIGTERM first: Python's resource tracker heeds only the end of its pipe, and then frees shared memory.
    os.killpg(0, signal.SIGTERM)
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until and has_company():
        time.sleep(0.01)
    os.killpg(0, signal.SIGKILL)
    return 1


def end_of(pid: int) -> int | None:
    """A file that can be read once that process has ended; None where the system has none, or it has ended already.

    Not PR_SET_PDEATHSIG: that looks at the thread that started us, which may end long before its process.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def has_company() -> bool:
    """Whether another process of our group still runs; taken for granted where there is no /proc."""
    ours = os.getpgrp()
    stats = [place for place in Path("/proc").glob("[0-9]*/stat") if int(place.parent.name) != os.getpid()]
    for place in stats:
        try:
            state, _, group = place.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == ours and state not in ("Z", "X"):
            return True
    return not stats


if __name__ == "__main__":
    sys.exit(main())
