"""Slurm through submitit: a job for each task, which is requeued at its time limit and goes on from its checkpoint."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
import shutil
import socket
import subprocess
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Annotated, Any

from neuroprompt.contracts.work import Ended, Engine, Resources, Task
from neuroprompt.engines._child import run_child
from neuroprompt.engines._paths import check_paths, missing_here
from neuroprompt.errors import RuntimeMissing
from neuroprompt.extras import need
from neuroprompt.files import write_whole

POLL_SECONDS = 1.0
COMMAND_SECONDS = 60
UNSEEN_SECONDS = 10.0
"""How long a file that a node wrote may take to be seen here, once its job has left the queue."""
SILENT_SECONDS = 600.0
"""How long Slurm may give no answer, as while its controller restarts: jobs go on meanwhile."""


class Slurm(Engine):
    """A job waits for each child. `hours` are those of a job: at its limit it is requeued, and the run goes on.

    Where the sweep itself is killed its jobs stay; the same line again waits for them in place of new ones. submitit
    pickles what a job calls: here the words of a command, and nothing is read back but a line of text.
    """

    about = "Slurm through submitit: a job for each run"

    def __init__(
        self,
        *,
        partition: Annotated[str, "the partition (default: Slurm's)"] = "",
        account: Annotated[str, "the account (default: Slurm's)"] = "",
        qos: Annotated[str, "the quality of service (default: Slurm's)"] = "",
        constraint: Annotated[str, "features that a node must have, such as a100"] = "",
        memory: Annotated[str, "of each job, such as 16G (default: Slurm's)"] = "",
        retries: Annotated[int, "how often a job is requeued at its time limit"] = 20,
        notice: Annotated[int, "seconds before the time limit at which a run is stopped"] = 90,
    ) -> None:
        self.places = {"partition": partition, "account": account, "qos": qos, "constraint": constraint, "mem": memory}
        self.retries, self.notice = retries, notice

    def run(self, tasks: Sequence[Task], resources: Resources) -> Generator[Ended, None, None]:
        """Run all tasks; `at_once` is as many jobs as there are tasks, in Slurm's order."""
        check_paths(tasks)
        need("slurm")
        if shutil.which("sbatch") is None or shutil.which("squeue") is None:
            raise RuntimeMissing("there is no sbatch here", "a machine that submits to Slurm", "or use --engine local")
        waiting = deque(tasks)
        running: dict[str, Task] = {}
        queued = _queue()
        gone: dict[str, float] = {}
        answered = time.monotonic()
        try:
            while waiting or running:
                while waiting and len(running) < (resources.at_once or len(tasks)):
                    task = waiting.popleft()
                    running[queued.get(_job_name(task)) or self._submit(task, resources)] = task
                time.sleep(POLL_SECONDS)
                try:
                    jobs = set(_queue().values())
                    answered = time.monotonic()
                except RuntimeMissing:
                    if time.monotonic() - answered > SILENT_SECONDS:
                        raise
                    continue
                for job, task in list(running.items()):
                    error = _said(task)
                    if error is None and job not in jobs:
                        left = gone.setdefault(job, time.monotonic())
                        if time.monotonic() - left > UNSEEN_SECONDS:
                            error = _last_words(task, job)
                    if error is not None:
                        del running[job]
                        yield Ended(task, error)
        finally:
            if running:
                _slurm("scancel", *running)

    def _submit(self, task: Task, resources: Resources) -> str:
        """The number of a new job; raises RuntimeMissing where Slurm refuses it."""
        import submitit

        _ended(task).unlink(missing_ok=True)
        executor = submitit.SlurmExecutor(_ended(task).parent / "%j", max_num_timeout=self.retries)
        asked: dict[str, Any] = {"job_name": _job_name(task), "time": max(1, math.ceil(60 * resources.hours))}
        asked |= {"cpus_per_task": resources.threads, "srun_args": [f"--cpus-per-task={resources.threads}"]}
        asked |= {"gpus_per_node": resources.gpus} if resources.gpus else {}
        asked |= {key: value for key, value in self.places.items() if value}
        executor.update_parameters(signal_delay_s=self.notice, **asked)
        try:
            with redirect_stderr(io.StringIO()):  # submitit shows what sbatch says, and it is in our error, too
                return str(executor.submit(Job(), task, resources).job_id)
        except (subprocess.CalledProcessError, submitit.core.utils.FailedJobError) as error:
            raise RuntimeMissing(
                f"Slurm does not take the job ({error})", "a partition and resources that it has"
            ) from error


class Job:
    """What a job calls, on its node; submitit finds it by its name."""

    def __call__(self, task: Task, resources: Resources) -> None:
        """Run the task, and write what happened beside its log."""
        missing = missing_here(map(str, task.reads), [])
        if missing:
            error = f"node {socket.gethostname()} does not see {missing[0]}; expected storage that all nodes share"
        else:
            # The limit is Slurm's: at it the job is stopped and requeued, here it would have failed.
            error = run_child(task, dataclasses.replace(resources, hours=2 * resources.hours + 1))
        write_whole(_ended(task), f"{error}\n".encode())

    def checkpoint(self, task: Task, resources: Resources) -> Any:
        """The same again: the command itself knows how far it was."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, task, resources)


def _ended(task: Task) -> Path:
    """The file that holds a task's error once it has ended."""
    return task.log.parent / "slurm" / f"{_job_name(task)}.ended"


def _said(task: Task) -> str | None:
    """A task's error, None before its end."""
    file = _ended(task)
    return file.read_text().rstrip("\n") if file.is_file() else None


def _last_words(task: Task, job: str) -> str:
    """Why a job left the queue before its task ended, as Slurm wrote it: no memory, cancelled, a node that failed."""
    file = _ended(task).parent / job / f"{job}_0_log.err"
    if not file.is_file():
        return f"job {job} ended without a word: does its node see {task.log.parent}?"
    lines = file.read_text(errors="replace").splitlines()
    for who in ("slurmstepd: error:", "srun: error:", ""):  # the node's words first: srun only saw the end
        of_them = [line for line in lines if line.startswith(who)]
        if of_them:
            return f"job {job} ended: {of_them[-1]}"
    return f"job {job} ended, and said nothing"


def _job_name(task: Task) -> str:
    """The same for the same command, whoever submits it."""
    return f"np-{hashlib.sha256(repr((task.words, str(task.makes))).encode()).hexdigest()[:12]}"


def _queue() -> dict[str, str]:
    """Our jobs that wait or run: number by name."""
    lines = (line.split() for line in _slurm("squeue", "--me", "--noheader", "--format=%j %A").splitlines())
    return {words[0]: words[1] for words in lines if len(words) == 2}


def _slurm(*words: str) -> str:
    """What a command of Slurm prints; raises RuntimeMissing."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        raise RuntimeMissing(
            f"{words[0]} failed ({said})", "a Slurm that answers", "the same command again continues"
        ) from error
    return done.stdout
