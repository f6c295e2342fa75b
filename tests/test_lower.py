"""Graphs as float programs: what is folded where, and what a population cannot hold."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.graph import Vector
from neuroprompt.lower import lower, stimulus


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
    assert np.array_equal(projection.weights, W * [[1], [2]])
    assert np.array_equal(population.bias, B * [1, 2])
    assert (projection.source, projection.target, program.inputs, program.depth) == ("input", "n2", 3, 1)


def test_lif_folds_its_gain_and_leak_potential() -> None:
    program = lower(graph(3, nir.Affine(W, B), leaky(2, v_leak=np.array([1.0, 0.0]), r=np.full(2, 2.0))), 5)
    (population,), (projection,) = program.populations, program.projections
    assert population.dv == 0.25
    assert np.array_equal(projection.weights, W * 2 * 0.25)
    assert np.array_equal(population.bias, B * 2 * 0.25 + [0.25, 0])


def test_linear_nodes_are_multiplied_out_and_missing_ones_are_identities() -> None:
    second = np.array([[2.0, 1.0]])
    program = lower(graph(3, nir.Affine(W, B), nir.Linear(second), neurons(1), neurons(1)), 5)
    assert np.array_equal(program.projections[0].weights, second @ W)
    assert np.array_equal(program.populations[0].bias, second @ B)
    assert program.projections[1].one_to_one
    assert np.array_equal(program.projections[1].weights, [1.0])
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
        (neurons(2, v_threshold=np.array([1.0, 2.0])), "v_threshold from 1.0 to 2.0"),
        (neurons(2, v_threshold=np.full(2, -1.0)), "v_threshold = -1"),
        (leaky(2, tau=np.array([2e-4, 4e-4])), "tau from"),
        (leaky(2, tau=np.full(2, 0.5e-4)), "one time step"),
    ],
)
def test_what_a_population_cannot_hold_is_refused_by_name(node: Any, reason: str) -> None:
    with pytest.raises(Unsupported, match=f"'n2'.*{reason}"):
        lower(graph(3, nir.Linear(W), node), 5)


def test_a_graph_must_end_in_neurons_and_run() -> None:
    with pytest.raises(Unsupported, match="does not end in neurons"):
        lower(graph(3, nir.Linear(W), neurons(2), nir.Linear(np.eye(2))), 5)
    with pytest.raises(BadSetting, match="steps 0"):
        lower(graph(3, nir.Linear(W), neurons(2)), 0)
