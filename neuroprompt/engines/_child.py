"""One task as a child process on this machine; every engine runs its tasks by it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from threading import Event

from neuroprompt.contracts.work import Resources, Task
from neuroprompt.errors import CannotWrite
from neuroprompt.locks import one_writer
from neuroprompt.processes import end_group, guarded, last_line

POLL_SECONDS = 0.1
FREE_SECONDS = 30.0
"""How long a task waits for the end of an earlier try, whose machine or process has just died."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LAUNCHERS = ("SLURM_", "SBATCH_", "TORCHELASTIC_", "PMI_", "OMPI_")
RANKS = {
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "NODE_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
}
"""Of the launcher that started us: a task is a job of its own, not one process of ours."""


def environment(threads: int, more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a task: ours without what a launcher wrote in it, and so many threads."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(LAUNCHERS) and key not in RANKS}
    return kept | dict.fromkeys(THREADS, str(threads)) | dict(more)


def run_child(
    task: Task, resources: Resources, stop: Event | None = None, more: Mapping[str, str] | None = None
) -> str:
    """Run a task to its end: an empty text where it went well, else what happened in one line.

    `stop` ends it from another thread; `more` is added to its environment. Nothing of it outlives this process.
    """
    stop = stop or Event()
    try:
        _wait_until_free(task, stop)
        task.log.parent.mkdir(parents=True, exist_ok=True)
        with task.log.open("ab") as log:
            log.write(f"$ neuroprompt {shlex.join(task.words)}\n".encode())
            log.flush()
            begins = log.tell()
            # -P: a folder called neuroprompt where we were started is not the package.
            command = [sys.executable, "-P", "-m", "neuroprompt", *task.words]
            child = subprocess.Popen(
                guarded(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(resources.threads, more or {}),
                start_new_session=True,
            )
    except OSError as error:
        return f"cannot be started: {error.strerror} ({error.filename})"
    try:
        code = _wait(child, stop, time.monotonic() + 3600 * resources.hours)
    finally:
        end_group(child)
    if stop.is_set():
        return "was stopped"
    if code is None:
        return f"did not end within its time limit of {resources.hours:g} hours"
    killed = -code if code < 0 else code - 128
    if killed > 0:
        return f"was killed by signal {killed}"
    if code:
        with task.log.open("rb") as log:
            log.seek(begins)
            return last_line(log.read().decode(errors="replace")).removeprefix("error: ")
    return "" if task.makes.exists() else f"ended well, but {task.makes} is not there"


def _wait(child: subprocess.Popen[bytes], stop: Event, until: float) -> int | None:
    """The exit code; None where its time is over, or it is to stop."""
    while time.monotonic() < until and not stop.is_set():
        try:
            return child.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return None


def _wait_until_free(task: Task, stop: Event) -> None:
    """Until nobody writes to the task's folder; where it stays so, the task itself says who does."""
    until = time.monotonic() + FREE_SECONDS
    while time.monotonic() < until and not stop.is_set():
        try:
            with one_writer(task.writes):
                return
        except CannotWrite:
            time.sleep(POLL_SECONDS)
