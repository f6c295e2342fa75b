"""A worker that stays: it answers one batch after the other, until nobody asks, or nobody is there; needs no package.

A line on standard input is a folder, which holds what to run and gets what came of it; the answer is a line on standard
output. What libraries print goes to standard error instead.
"""

import multiprocessing as mp
import os
import select
import sys
import traceback
from collections.abc import Callable
from pathlib import Path


def serve(run: Callable[[Path], None], idle_seconds: float) -> None:
    """Call `run` with each folder; returns when standard input ends, or after `idle_seconds` without a line."""
    answers = os.dup(1)
    os.dup2(2, 1)
    asked = b""
    while select.select([0], [], [], idle_seconds)[0]:
        more = os.read(0, 4096)
        if not more:
            return
        *folders, asked = (asked + more).split(b"\n")
        for folder in folders:
            try:
                run(Path(os.fsdecode(folder)))
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                for child in mp.active_children():  # Python would wait for them
                    child.kill()
                os._exit(1)
            sys.stdout.flush()
            os.write(answers, b"done\n")
