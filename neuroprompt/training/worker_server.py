"""What the server of workers imports: the modules that all workers need, unless the trainer ends meanwhile.

A worker whose trainer dies as it begins, or while a batch changes hands, ends without a traceback.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import sys
import threading
from types import TracebackType

WORDS = "NEUROPROMPT_WORKER_SERVER"
"""The variable with the trainer's process number and the modules."""


def _import(trainer: int, modules: list[str]) -> None:
    """The server itself looks for its trainer only when its imports are done, seconds later."""
    finished, finish = os.pipe()
    watch = threading.Thread(target=_end_with, args=(trainer, finished))
    watch.start()
    try:
        for module in modules:
            importlib.import_module(module)
    finally:
        os.close(finish)
        watch.join()  # a process with threads must not fork
        os.close(finished)


def _end_with(trainer: int, finished: int) -> None:
    """End this process as soon as its trainer has; return when `finished` is closed."""
    try:
        trains = os.pidfd_open(trainer)
    except ProcessLookupError:
        os._exit(1)
    except OSError:  # Linux older than 5.3
        return
    if trains in select.select([trains, finished], [], [])[0]:
        os._exit(1)
    os.close(trains)


def quietly(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Print an error, but not that the trainer's words to a worker broke off."""
    if not isinstance(error, (EOFError, ConnectionError, pickle.UnpicklingError)):
        sys.__excepthook__(kind, error, where)


if words := os.environ.pop(WORDS, ""):
    sys.excepthook = quietly
    number, *names = words.split()
    _import(int(number), names)
