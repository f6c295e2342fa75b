"""Lava's processes compiled and started once, and run on any number of items, each from rest; needs lava-nc 0.10.0."""

import ctypes
import multiprocessing as mp
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg

TAG = {"float": "floating_pt", "fixed": "fixed_pt"}


class Net:
    """Processes that all hang together with `sink`; it and its source count items from 0 by their files in `folder`.

    models    which process model runs each process
    every     chip steps of an item
    recorded  what is written for each item: {name of its files: (type, shape of a row)}
    """

    def __init__(
        self,
        sink: Any,
        models: Mapping[Any, Any],
        precision: str,
        every: int,
        recorded: Mapping[str, tuple[Any, tuple[int, ...]]],
        *,
        folder: Path,
    ) -> None:
        self.sink, self.every, self.recorded, self.folder = sink, every, recorded, folder
        for process in models:
            if "every" not in process.proc_params._parameters:
                process.proc_params["every"] = every
        # The model of every process is named: else Lava runs every Python file beside this script to find one.
        self.config = Loihi2SimCfg(select_tag=TAG[precision], exception_proc_model_map=dict(models))
        self.items, self.seconds = 0, 0.0
        self.done = threading.Event()
        self.watcher = threading.Thread(target=abort_when_one_dies, args=(sink, self.done, folder), daemon=True)

    def run(self, items: Sequence[Any]) -> list[dict[str, Any]]:
        """What is recorded of each item, (every, ...) each, for what is sent to it, (steps, ...)."""
        first = self.items
        for k, sent in enumerate(items, start=first):
            np.save(self.folder / f"sent.{k}.npy", sent, allow_pickle=False)
            for name, (kind, shape) in self.recorded.items():
                np.lib.format.open_memmap(self.folder / f"{name}.{k}.npy", "w+", kind, (self.every, *shape)).flush()
        if not first:
            self.watcher.start()
        start = time.perf_counter()
        # Lava keeps 64 rows of shared memory for each connection by default; processes move in step, so 2 are enough.
        self.sink.run(RunSteps(self.every * len(items)), self.config, {"pypy_channel_size": 2})
        self.seconds = time.perf_counter() - start
        self.items += len(items)
        return [self._take(k) for k in range(first, self.items)]

    def _take(self, item: int) -> dict[str, Any]:
        """What was recorded of an item; its files are gone then."""
        rows = {name: np.load(self.folder / f"{name}.{item}.npy") for name in self.recorded}
        for name in ("sent", *self.recorded):
            (self.folder / f"{name}.{item}.npy").unlink()
        return rows

    def stop(self) -> None:
        """End Lava's processes."""
        self.done.set()
        if self.items:
            self.watcher.join()
            self.sink.stop()


def abort_when_one_dies(sink: Any, done: threading.Event, folder: Path) -> None:
    """Lava waits for ever when one of its processes is killed: end everything with one line instead."""
    sentinels: dict[Any, int] = {}
    while not done.wait(0.1):
        started = getattr(sink.runtime, "_messaging_infrastructure", None)
        sentinels |= {a: a.sentinel for a in (started.actors if started else ()) if a not in sentinels}
        # A process that ended by an error of its own is told by Lava, within this second.
        if wait(sentinels.values(), timeout=0) and not done.wait(1.0):
            for child in mp.active_children():
                child.kill()
            shutil.rmtree(folder, ignore_errors=True)
            print("a process of the Lava simulator died", file=sys.stderr, flush=True)
            os._exit(1)


def children_die_with_us() -> None:
    """Have Linux kill every process that is forked from now on when the one that forked it is gone."""
    if sys.platform != "linux":
        return
    parent = 0

    def before() -> None:
        nonlocal parent
        parent = os.getpid()

    def in_child() -> None:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before it could be heeded
            os._exit(1)

    os.register_at_fork(before=before, after_in_child=in_child)
