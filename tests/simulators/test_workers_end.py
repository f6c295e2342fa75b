"""A worker of Lava that is killed, hangs or loses its parent: one line, and never a process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import nir
import numpy as np
import pytest
from child_processes import PROC, assert_all_gone, marked, needs_proc, until

from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import NeuropromptError, WorkerFailed
from neuroprompt.simulators.runtime import WORKERS, Runtime
from neuroprompt.spiking.program import Population, Program, SpikingModel

STEPS = 200_000
"""Some minutes of Lava: it is always ended before."""


def program() -> Program:
    return Program("fixed", STEPS, 1, (Population("only", 2, 4095, 0, 10, np.array([3, 5], np.int32), 6),), ())


def start_lava(time_limit: float = 300) -> tuple[threading.Thread, list[BaseException]]:
    """A long run of the real simulator in another thread, and what it raises."""
    raised: list[BaseException] = []

    def run() -> None:
        target = SpikingTarget.named("lava", time_limit=time_limit)
        try:
            target.run(SpikingModel(nir.NIRGraph({}, []), program(), program()), np.zeros((STEPS, 1)), "fixed")
        except NeuropromptError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


def worker_of(mark: bytes) -> int:
    """The worker itself, once it has all of Lava's processes around it."""

    def workers() -> list[int]:
        return sorted(pid for pid, line in marked(mark).items() if "_lava.py" in line and "watchdog.py" not in line)

    until(lambda: len(workers()) >= 5)  # worker, memory manager, LIF, sink, runtime service
    return workers()[0]


# --- the end of a worker ----------------------------------------------------------------------------------------------


@needs_proc
def test_a_killed_worker_is_named_and_leaves_nothing(lava: SpikingTarget, mark: bytes) -> None:
    thread, raised = start_lava()
    os.kill(worker_of(mark), signal.SIGKILL)
    thread.join(30)
    assert [str(e) for e in raised] == ["the lava worker was killed by signal 9"]
    assert_all_gone(mark)


@needs_proc
def test_a_killed_process_of_lava_ends_the_worker_with_one_line(lava: SpikingTarget, mark: bytes) -> None:
    thread, raised = start_lava()
    worker = worker_of(mark)
    lif = max(pid for pid in marked(mark) if (PROC / f"{pid}/stat").read_text().split()[3] == str(worker))
    os.kill(lif, signal.SIGKILL)
    thread.join(30)
    assert isinstance(raised[0], WorkerFailed)
    assert "a process of the Lava simulator died" in str(raised[0])
    assert_all_gone(mark)


@needs_proc
def test_a_hanging_worker_is_ended_at_its_time_limit(lava: SpikingTarget, mark: bytes) -> None:
    thread, raised = start_lava(time_limit=4)
    thread.join(60)
    assert [str(e) for e in raised] == ["the lava worker did not end within its time limit of 4 s"]
    assert_all_gone(mark)


PARENT = """
import sys, numpy as np
from pathlib import Path
from neuroprompt.simulators.runtime import WORKERS, Runtime
folder = Path(sys.argv[1])
arguments = ["--program", str(folder / "program.npz"), "--out", str(folder / "spikes.npz")]
Runtime("lava", "3.10", WORKERS / "lava.txt").run(WORKERS / "run_lava.py", arguments, 300)
"""


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_parent_that_is_killed_or_interrupted(
    lava: SpikingTarget, mark: bytes, tmp_path: Path, how: signal.Signals
) -> None:
    (tmp_path / "program.npz").write_bytes(program().to_bytes())
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stderr=subprocess.PIPE)
    worker_of(mark)
    parent.send_signal(how)
    _, complaint = parent.communicate(timeout=30)
    assert b"KeyboardInterrupt" in complaint if how == signal.SIGINT else parent.returncode == -how
    assert_all_gone(mark)


@needs_proc
def test_the_script_alone_leaves_nothing_when_it_is_killed(lava: SpikingTarget, mark: bytes, tmp_path: Path) -> None:
    """As a person runs it from a bundle, without neuroprompt around it."""
    (tmp_path / "program.fixed.npz").write_bytes(program().to_bytes())
    script = tmp_path / "run_lava.py"
    for name in ("run_lava.py", "lava_net.py", "lava_processes.py", "lava_program.py", "program_file.py"):
        (tmp_path / name).write_bytes((WORKERS / name).read_bytes())
    python = Runtime("lava", "3.10", WORKERS / "lava.txt").executable
    alone = subprocess.Popen([python, script], cwd=tmp_path)
    until(lambda: sum("run_lava.py" in line for line in marked(mark).values()) >= 5)
    alone.kill()
    alone.wait()
    assert_all_gone(mark)


# --- finding and building ---------------------------------------------------------------------------------------------
