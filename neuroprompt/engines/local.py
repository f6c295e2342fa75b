"""Child processes on this machine, as many at once as its cores or GPUs hold."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from threading import Event

from neuroprompt.contracts.work import Ended, Engine, Resources, Task
from neuroprompt.engines._child import run_child
from neuroprompt.engines._paths import check_paths
from neuroprompt.errors import BadSetting

PROBE_SECONDS = 30


class Local(Engine):
    """A thread waits for each child; children end with this process, however it ends.

    With `gpus` each task sees GPUs that no other task has, by CUDA_VISIBLE_DEVICES.
    """

    about = "child processes on this machine"

    def run(self, tasks: Sequence[Task], resources: Resources) -> Generator[Ended, None, None]:
        """Run all tasks; `at_once` is as many as there are cores for their threads, or GPUs."""
        check_paths(tasks)
        shares = _shares(resources)
        free: SimpleQueue[dict[str, str]] = SimpleQueue()
        for share in shares:
            free.put(share)
        stop = Event()

        def run(task: Task) -> Ended:
            share = free.get()
            try:
                return Ended(task, run_child(task, resources, stop, share))
            finally:
                free.put(share)

        with ThreadPoolExecutor(len(shares)) as pool:
            waiting = [pool.submit(run, task) for task in tasks]
            try:
                for future in as_completed(waiting):
                    yield future.result()
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)


def _shares(resources: Resources) -> list[dict[str, str]]:
    """What each of the tasks at once has in its environment; raises BadSetting where there are too few GPUs."""
    if not resources.gpus:
        at_once = resources.at_once or max(1, (os.cpu_count() or 1) // resources.threads)
        return [{} if resources.gpus is None else {"CUDA_VISIBLE_DEVICES": ""}] * at_once
    gpus, each = _visible_gpus(), resources.gpus
    room = len(gpus) // each
    if room < (resources.at_once or 1):
        got = f"{len(gpus)} GPUs for {resources.at_once or 1} tasks with {each} each"
        raise BadSetting(got, "as many as the tasks take", "lower --gpus or --at-once")
    at_once = resources.at_once or room
    return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[each * i : each * (i + 1)])} for i in range(at_once)]


def _visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip()]
    try:
        asked = ["nvidia-smi", "--list-gpus"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(i) for i, _ in enumerate(line for line in done.stdout.splitlines() if line.startswith("GPU "))]
