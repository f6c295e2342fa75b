"""Graphs as float programs: what is folded where, and what a population cannot hold."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from neuroprompt.compiler.lower import lower, stimulus
from neuroprompt.compiler.quantise import quantise
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.spiking.chain import Vector


def graph(inputs: int, *nodes: Any) -> nir.NIRGraph:
    size = int(np.prod(nodes[-1].output_type["output"]))
    ends = (nir.Input(input_type={"input": np.array([inputs])}), nir.Output(output_type={"output": np.array([size])}))
    named = {f"n{i}": node for i, node in enumerate((ends[0], *nodes, ends[1]))}
    names = list(named)
    return nir.NIRGraph(named, list(pairwise(names)))


def neurons(n: int, **other: Vector) -> nir.IF:
    return nir.IF(**{"r": np.ones(n), "v_threshold": np.ones(n), "v_reset": np.zeros(n)} | other)


def leaky(n: int, **other: Vector) -> nir.LIF:
    plain = {"tau": np.full(n, 4e-4), "r": np.ones(n), "v_leak": np.zeros(n), "v_threshold": np.ones(n)}
    return nir.LIF(**(plain | other))


W = np.array([[1.0, -2.0, 0.5], [0.0, 4.0, 3.0]])
B = np.array([0.5, -0.25])


def test_if_keeps_weights_times_resistance() -> None:
    program = lower(graph(3, nir.Affine(W, B), neurons(2, r=np.array([1.0, 2.0]))), 5)
    (population,), (projection,) = program.populations, program.projections
    assert (population.du, population.dv, population.vth, population.depth) == (1.0, 0.0, 1.0, 1)
    assert np.array_equal(projection.weights.raw, W * [[1], [2]])
    assert np.array_equal(population.bias, B * [1, 2])
    assert (projection.source, projection.target, program.inputs, program.depth) == ("input", "n2", 3, 1)


def test_lif_folds_its_gain_and_leak_potential() -> None:
    program = lower(graph(3, nir.Affine(W, B), leaky(2, v_leak=np.array([1.0, 0.0]), r=np.full(2, 2.0))), 5)
    (population,), (projection,) = program.populations, program.projections
    assert population.dv == 0.25
    assert np.array_equal(projection.weights.raw, W * 2 * 0.25)
    assert np.array_equal(population.bias, B * 2 * 0.25 + [0.25, 0])


def test_linear_nodes_are_multiplied_out_and_missing_ones_are_identities() -> None:
    second = np.array([[2.0, 1.0]])
    program = lower(graph(3, nir.Affine(W, B), nir.Linear(second), neurons(1), neurons(1)), 5)
    assert np.array_equal(program.projections[0].weights.raw, second @ W)
    assert np.array_equal(program.populations[0].bias, second @ B)
    assert program.projections[1].weights.is_one_to_one
    assert np.array_equal(program.projections[1].weights.raw, [1.0])
    assert [p.depth for p in program.populations] == [1, 2]


def test_zero_weights_leave_the_bias_alone() -> None:
    drive = nir.Affine(np.zeros((2, 1)), np.array([0.3, 0.7]))
    program = lower(graph(1, drive, neurons(2), nir.Linear(np.ones((1, 2))), neurons(1)), 5)
    assert [(p.source, p.target) for p in program.projections] == [("n2", "n4")]
    assert [p.depth for p in program.populations] == [0, 1]
    assert np.array_equal(program.populations[0].bias, [0.3, 0.7])
    assert not stimulus(program).any()
    assert stimulus(lower(graph(3, nir.Linear(W), neurons(2)), 9)).any()


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (neurons(2, v_reset=np.array([0.0, -1.0])), "resets"),
        (neurons(2, v_threshold=np.full(2, -1.0)), "threshold of -1"),
        (neurons(2, v_threshold=np.array([0.0, 1.0])), "v_threshold from 0 to 1"),
        (leaky(2, tau=np.full(2, 2.0)), "membrane time constant of 20000 steps, too slow for 12 bits"),
    ],
)
def test_what_the_chip_cannot_hold_is_refused_by_name(node: Any, reason: str) -> None:
    program = lower(graph(3, nir.Linear(W), node), 5)  # float simulators run it
    with pytest.raises(Unsupported, match=f"'n2'.*{reason}"):
        quantise(program)


def test_a_time_constant_below_a_step_is_refused() -> None:
    with pytest.raises(Unsupported, match="'n2' has tau = 5e-05 s; expected at least one time step"):
        lower(graph(3, nir.Linear(W), leaky(2, tau=np.full(2, 0.5e-4))), 5)


def test_thresholds_that_differ_become_one_by_scaling_rows() -> None:
    rng = np.random.default_rng(0)
    vth = rng.uniform(0.5, 2.0, 8)
    own = graph(
        6,
        nir.Affine(rng.normal(0.2, 1, (8, 6)), rng.normal(0, 0.1, 8)),
        leaky(8, tau=np.full(8, 4e-4), r=np.full(8, 4.0), v_threshold=vth, v_leak=np.zeros(8)),
    )
    program = lower(own, 40)
    inputs = stimulus(program)
    fixed, report = quantise(program, inputs)
    assert np.ndim(fixed.populations[0].vth) == 0
    assert report["spike_match"] > 0.99
    assert simulate(program, inputs)["n2"].spikes.any(axis=0).sum() >= 6


def test_an_output_that_no_neuron_makes_is_a_population_that_never_fires() -> None:
    program = lower(graph(3, nir.Linear(W), neurons(2), nir.Affine(np.eye(2) * 3, B)), 5)
    last = program.populations[-1]
    assert (last.name, last.emits, last.vth, last.dv, last.depth) == ("n4", "v", np.inf, 1.0, 2)
    assert np.array_equal(last.bias, B)
    with pytest.raises(BadSetting, match="steps 0"):
        lower(graph(3, nir.Linear(W), neurons(2)), 0)


def test_convolutions_come_as_sparse_rows_and_every_weight_is_counted_once() -> None:
    weight = np.random.default_rng(0).normal(0, 1, (4, 3, 3, 3))
    conv = nir.Conv2d((12, 12), weight, 1, 1, 1, 1, np.zeros(4))
    shape = (4, 12, 12)
    node = nir.IF(r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))
    ends = nir.Input({"input": np.array([3, 12, 12])}), nir.Output({"output": np.array(shape)})
    named = {"in": ends[0], "conv": conv, "if": node, "out": ends[1]}
    program = lower(nir.NIRGraph(named, list(pairwise(named))), 3)
    (projection,) = program.projections
    assert projection.weights.is_sparse
    assert projection.weights.shape == (576, 432)
    # fan-out of a pixel: 9 places in the middle, 4 in a corner, times 4 channels
    counts = projection.weights.fan_out.reshape(3, 12, 12)
    assert counts[0, 5, 5] == 36
    assert counts[0, 0, 0] == 16


def test_a_delay_becomes_lags_and_the_chip_waits_as_long() -> None:
    delay = nir.Delay(np.array([0.0, 3e-4]))
    program = lower(graph(3, nir.Affine(W, B), delay, neurons(2)), 9)
    assert [(p.lag, p.delay) for p in program.projections] == [(0, 0), (3, 3)]
    (population,) = program.populations
    assert [onset for onset, _ in population.currents] == [3]  # the late half of the bias
    assert np.array_equal(population.bias, [0.5, 0.0])
    with pytest.raises(Unsupported, match="whole steps"):
        lower(graph(3, nir.Linear(W), nir.Delay(np.full(2, 1.5e-4)), neurons(2)), 9)
    late = lower(graph(3, nir.Linear(W), nir.Delay(np.full(2, 70e-4)), neurons(2)), 9)
    with pytest.raises(Unsupported, match="would wait 69 chip steps; expected at most 63"):
        quantise(late)
