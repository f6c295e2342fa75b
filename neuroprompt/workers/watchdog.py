"""Run a worker, and end its whole process group when the parent is gone: watchdog.py PARENT_PID COMMAND..."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

GRACE_SECONDS = 1.0


def main() -> int:
    """Run the command; its exit code, or 128 + the signal that killed it."""
    parent = int(sys.argv[1])
    # SIGTERM goes to the whole group and the watchdog outlives it; a handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGTERM, lambda *_: None)
    worker = subprocess.Popen(sys.argv[2:])
    while os.getppid() == parent:
        try:
            code = worker.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
        return code if code >= 0 else 128 - code
    # SIGTERM first: Python's resource tracker heeds only the end of its pipe, and then frees shared memory.
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)
    return 1


if __name__ == "__main__":
    sys.exit(main())
