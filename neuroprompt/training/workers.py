"""How the processes that decode training images start, and how they end with the process that trains."""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext

from neuroprompt.training import worker_server


def context(*modules: str) -> BaseContext:
    """How workers start: on Linux forked from a process that has imported `modules` once, elsewhere spawned.

    A spawned worker imports torch by itself, three seconds of a core and 300 MiB each. And they start one after the
    other where the set's file names fill a pipe (64 KiB, 1,800 names), which a worker empties after its imports only.
    """
    if sys.platform != "linux":  # macOS' own libraries do not stand a fork
        return mp.get_context("spawn")
    forking = mp.get_context("forkserver")
    forking.set_forkserver_preload([worker_server.__name__])
    # Else the server looks for modules where it stands first, and may find others than this process has.
    there = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    there[worker_server.WORDS] = " ".join([str(os.getpid()), *modules])
    before = {name: os.environ.get(name) for name in there}
    os.environ.update(there)
    try:
        resource_tracker.ensure_running()  # it would let Ctrl-C in again
        with _without_interrupt():
            forkserver.ensure_running()  # it imports while this process goes on
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return forking


@contextlib.contextmanager
def _without_interrupt() -> Iterator[None]:
    """A process that starts here is deaf to Ctrl-C, which would end the server's imports with a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(worker: int) -> None:
    """Ctrl-C is for the process that trains; a worker ends with that process, which need not be its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    trains = mp.parent_process()
    assert trains is not None
    threading.Thread(target=_end_after, args=(trains.sentinel,), daemon=True).start()


def _end_after(process: int) -> None:
    wait([process])
    os._exit(1)
