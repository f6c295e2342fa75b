"""Counts alone of a batch: those of the recording, in parts, in memory that does not grow with the steps."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from random_graphs import random_graph

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.simulators import counts
from neuroprompt.simulators.counts import spike_counts
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

TARGET = SpikingTarget.named("loihi")


@pytest.mark.parametrize("seed", range(12))
def test_counts_are_those_of_the_recording(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "CELLS", 300)  # many parts
    model = model_of_graph(random_graph(seed, portable=True), 9)
    inputs = np.random.default_rng(seed).random((7, 9, model.float_program.inputs)) < 0.5
    recording = TARGET.run(model, inputs, "float")
    counted = spike_counts(TARGET, model, inputs, "float")
    assert counted.spikes.keys() == recording.spikes.keys()
    for name, fired in recording.spikes.items():
        assert np.array_equal(counted.spikes[name], fired.sum(axis=1))
    assert counted.values.keys() == recording.values.keys()
    for name, numbers in recording.values.items():
        assert np.array_equal(counted.values[name], numbers.mean(axis=1))


def test_memory_does_not_grow_with_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, steps, size = 400, 200, 50
    monkeypatch.setattr(counts, "CELLS", 20 * steps * size)
    p = Population("p", size, du=4095, dv=50, vth=900, bias=np.zeros(size, np.int32), bias_exp=6, depth=1)
    weights = Weights(np.random.default_rng(0).integers(0, 200, (size, 4)).astype(np.int32))
    program = Program("fixed", steps, 4, (p,), (Projection("input", "p", weights),))
    model = SpikingModel(random_graph(0, portable=True), program, program, {})
    inputs = np.random.default_rng(1).random((runs, steps, 4)) < 0.3
    tracemalloc.start()
    counted = spike_counts(TARGET, model, inputs, "fixed")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counted.spikes["p"].sum() > 0
    assert peak < runs * steps * size  # the bytes of all spikes


def test_a_single_run_is_rejected() -> None:
    model = model_of_graph(random_graph(0, portable=True), 9)
    with pytest.raises(Unsupported, match="runs, steps, lines"):
        spike_counts(TARGET, model, np.zeros((9, model.float_program.inputs)))
