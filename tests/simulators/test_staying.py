"""Workers that stay: the same answers as a fresh one, one worker a program, and none left behind."""

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
from child_processes import assert_all_gone, marked, needs_proc, until

from neuroprompt.benchmarks.nets import random_net
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import WorkerFailed
from neuroprompt.simulators import staying
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights


def workers(mark: bytes) -> list[int]:
    """The watchdogs, one a worker."""
    return [pid for pid, line in marked(mark).items() if "watchdog.py" in line]


def assert_same(ours: Recording, theirs: Recording) -> None:
    for kind in ("spikes", "u", "v", "values"):
        for name, rows in getattr(ours, kind).items():
            np.testing.assert_array_equal(rows, getattr(theirs, kind)[name], err_msg=f"{kind} of {name}")


@needs_proc
def test_one_worker_answers_batch_after_batch_as_the_emulator(lava: SpikingTarget, mark: bytes) -> None:
    """Currents, potentials and delays of an item leave nothing to the next one; silence between them shows it."""
    model, inputs = random_net(24, 2, 12, rate=0.4)
    items = np.stack([inputs, np.zeros_like(inputs), inputs[::-1], np.ones_like(inputs)])
    emulated = SpikingTarget.named("loihi").run(model, items, "fixed", states=True)
    assert all(spikes.any() for spikes in emulated.spikes.values())
    assert_same(emulated, lava.run(model, items, "fixed", states=True))
    before = workers(mark)
    assert len(before) == 1
    for i in (3, 1, 0):
        assert_same(emulated.item(i), lava.run(model, items[i], "fixed", states=True))
    assert workers(mark) == before
    staying.end_all()
    assert_all_gone(mark)


def delayed() -> Program:
    """Two neurons in float behind synapses that wait, and a third that feeds back and rests after a spike."""
    populations = (
        Population("first", 2, 1.0, 0.1, 0.9, np.array([0.05, 0.0]), depth=0),
        Population("second", 3, 0.5, 0.2, 0.7, np.zeros(3), depth=0, hold=True),
    )
    weights = np.array([[0.9, 0.4], [0.3, 0.6]])
    projections = (
        Projection("input", "first", Weights(weights), lag=0),
        Projection("first", "second", Weights(np.array([[0.5, 0.6], [0.4, 0.3], [0.2, 0.9]])), lag=2, delay=2),
    )
    return Program("float", 15, 2, populations, projections)


def test_items_of_spikes_and_of_numbers_share_a_batch(lava: SpikingTarget) -> None:
    """Lava takes them by other processes, so that a worker builds its net again; the answers keep their places."""
    program = delayed()
    model = SpikingModel(nir.NIRGraph({}, []), program, program)
    rng = np.random.default_rng(0)
    spikes = (rng.random((15, 2)) < 0.6).astype(float)
    items = np.stack([spikes, rng.random((15, 2)), spikes[::-1]])
    batch = lava.run(model, items, "float", states=True)
    assert batch.spikes["second"].any()
    for i, item in enumerate(items):
        staying.end_all()
        assert_same(lava.run(model, item, "float", states=True), batch.item(i))


@needs_proc
def test_an_idle_worker_ends_by_itself_and_the_next_run_starts_another(
    lava: SpikingTarget, mark: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staying, "IDLE_SECONDS", 0.2)
    model, inputs = random_net(8, 1, 5)
    first = lava.run(model, inputs, "fixed")
    until(lambda: not workers(mark))
    monkeypatch.undo()
    assert_same(first, lava.run(model, inputs, "fixed"))


@needs_proc
def test_a_worker_killed_while_it_waits_is_replaced_and_one_that_fails_is_named(
    lava: SpikingTarget, mark: bytes, tmp_path: Path
) -> None:
    model, inputs = random_net(8, 1, 5)
    first = lava.run(model, inputs, "fixed")
    for pid, line in marked(mark).items():
        if "stay_lava.py" in line:
            os.kill(pid, signal.SIGKILL)
    assert_all_gone(mark)
    assert_same(first, lava.run(model, inputs, "fixed"))
    (worker,) = staying._waiting.values()
    with pytest.raises(WorkerFailed, match="the lava worker failed with exit code 1: FileNotFoundError"):
        worker.ask(tmp_path, 120)  # a folder without inputs
    assert_all_gone(mark)
    assert_same(first, lava.run(model, inputs, "fixed"))


@needs_proc
def test_a_worker_outlives_the_thread_that_started_it(lava: SpikingTarget, mark: bytes) -> None:
    """Linux ends children with the thread that forked them, where PR_SET_PDEATHSIG asks for it: our guard does not."""
    model, inputs = random_net(8, 1, 5)
    answers = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: answers.append((lava.run(model, inputs, "fixed"), workers(mark))))
        thread.start()
        thread.join()
    (first, worker), (again, same_worker) = answers
    assert_same(first, again)
    assert worker == same_worker
    assert len(worker) == 1


@needs_proc
def test_no_more_workers_stay_than_are_kept(lava: SpikingTarget, mark: bytes) -> None:
    for width in (3, 4, 5, 6):
        lava.run(*random_net(width, 1, 4), "fixed")
    assert len(workers(mark)) == staying.KEPT


PARENT = """
import sys, time
from neuroprompt.benchmarks.nets import random_net
from neuroprompt.contracts.deployment import SpikingTarget
SpikingTarget.named("lava").run(*random_net(8, 1, 5), "fixed")
print("ran", flush=True)
time.sleep(600 if sys.argv[1] == "wait" else 0)
"""


@needs_proc
@pytest.mark.parametrize("how", ["wait", "end"])
def test_a_parent_that_is_killed_or_ends_leaves_no_worker(lava: SpikingTarget, mark: bytes, how: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, how], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ran\n"
    if how == "wait":
        assert workers(mark)
        parent.kill()
    parent.communicate(timeout=120)
    assert_all_gone(mark)
