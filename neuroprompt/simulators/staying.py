"""Workers that stay: started once for a program, asked again for each batch, and ended when idle or when we end.

Starting Lava takes seconds, a step of it milliseconds: a second run of the same program pays for its steps alone.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from neuroprompt.errors import WorkerFailed
from neuroprompt.processes import end_group, what_happened
from neuroprompt.simulators.runtime import Runtime
from neuroprompt.spiking.fingerprint import fingerprint
from neuroprompt.spiking.program import Program

KEPT = 2
"""Workers that stay, at most: one for each precision of a model. The one that was asked longest ago goes first."""
IDLE_SECONDS = 60.0
"""How long a worker waits for the next batch, before it ends by itself."""
LEAVE_SECONDS = 5.0
"""How long one that waits may take to leave, when asked."""
POLL_SECONDS = 0.1

_waiting: dict[str, Worker] = {}
_lock = threading.Lock()


def ask(
    runtime: Runtime, script: Path, program: Program | bytes, options: Sequence[str], *, folder: Path, timeout: float
) -> None:
    """Have the worker of `program` do what is in `folder`, in at most `timeout` seconds; one is started if none waits.

    A worker is known by the program's fingerprint, or by the bytes of another file: writing a large program anew took a
    third of a second run.
    Two threads never share one. Raises RuntimeMissing, and WorkerFailed when it dies, fails or takes too long: then it
    is gone, and the next call starts another.
    """
    what = hashlib.sha256(program).hexdigest() if isinstance(program, bytes) else fingerprint(program)
    key = str((runtime.folder, script, *options, what))
    with _lock:
        worker = _waiting.pop(key, None)
    if worker is None or not worker.ask(folder, timeout):
        file = program if isinstance(program, bytes) else program.to_bytes()
        worker = Worker(runtime, script, file, options)
        if not worker.ask(folder, timeout):
            raise WorkerFailed(f"the {runtime.name} worker ended before it ran anything")
    with _lock:
        old = [_waiting.pop(key, None), *(_waiting.pop(next(iter(_waiting))) for _ in range(len(_waiting) + 1 - KEPT))]
        _waiting[key] = worker
    for left in old:
        if left is not None:
            left.end()


def end_all() -> None:
    """End all that wait."""
    with _lock:
        old = list(_waiting.values())
        _waiting.clear()
    for worker in old:
        worker.end()


class Worker:
    """A child process that answers batches of one program (`neuroprompt/workers/serving.py`)."""

    def __init__(self, runtime: Runtime, script: Path, program: bytes, options: Sequence[str]) -> None:
        self.name = runtime.name
        self.scratch = tempfile.TemporaryDirectory(prefix="np-", ignore_cleanup_errors=True)
        scratch, pipe = Path(self.scratch.name), subprocess.PIPE
        self.complained = scratch / "stderr"
        arguments = [str(scratch / "program"), *options[:1], str(IDLE_SECONDS), *options[1:]]
        try:
            (scratch / "program").write_bytes(program)
            with self.complained.open("wb") as err:
                self.child = runtime.start(script, arguments, scratch, stdin=pipe, out=pipe, err=err)
        except BaseException:
            self.scratch.cleanup()
            raise

    def ask(self, folder: Path, timeout: float) -> bool:
        """Hand it a folder; False where it had ended before, idle. Raises WorkerFailed; then it is gone."""
        try:
            answered = self._answer(folder, timeout)
        except BaseException:
            end_group(self.child)
            self.end()
            raise
        if not answered:
            self.end()
        return answered

    def _answer(self, folder: Path, timeout: float) -> bool:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        if self.child.poll() is not None:
            return False
        try:
            os.write(self.child.stdin.fileno(), os.fsencode(folder) + b"\n")
        except BrokenPipeError:
            return False
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            # Lava's processes hold the pipe open too, so that its end does not say whether the worker lives.
            gone = self.child.poll() is not None
            if select.select([self.child.stdout], [], [], 0 if gone else POLL_SECONDS)[0]:
                if os.read(self.child.stdout.fileno(), 4096):
                    return True
                self.child.wait()
                gone = True
            if gone and self.child.returncode == 0:
                return False
            if gone:
                self._fail(self.child.returncode, timeout)
        self._fail(None, timeout)
        return False

    def _fail(self, code: int | None, timeout: float) -> None:
        complaint = self.complained.read_text(errors="replace")
        raise WorkerFailed(f"the {self.name} worker {what_happened(code, timeout, complaint)}")

    def end(self) -> None:
        """End it and all processes that it started: by the end of its input, else by force."""
        self.forget()
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(LEAVE_SECONDS)
        if self.child.returncode != 0:
            end_group(self.child)
        self.scratch.cleanup()

    def forget(self) -> None:
        """Close our ends of its pipes."""
        for pipe in (self.child.stdin, self.child.stdout):
            if pipe is not None:
                pipe.close()


def _forget_all() -> None:
    """A process that we forked has no workers: those are its parent's."""
    for worker in _waiting.values():
        worker.forget()
        worker.child.returncode = 0
        worker.scratch._finalizer.detach()  # type: ignore[attr-defined]  # else it would remove its parent's folder
    _waiting.clear()


atexit.register(end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
