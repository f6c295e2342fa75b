"""Generated graphs of every primitive: the reference, the emulator and snnTorch agree spike by spike."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from program_bounds import absolute, apart
from random_graphs import random_graph

from neuroprompt.compiler.conventions import declare
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.schedule import check_chip
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import Program, SpikingModel

Floats = NDArray[np.float64]
STEPS = 30


def run(name: str, model: SpikingModel, inputs: Floats) -> Recording:
    target = SpikingTarget.named(name)
    return target.run(model, inputs, "float", states=True)


def assert_equal(right: Recording, other: Recording, bounds: dict[str, Floats]) -> None:
    assert set(right.spikes) == set(other.spikes)
    for name, spikes in right.spikes.items():
        assert np.array_equal(spikes, other.spikes[name]), name
        assert (np.abs(right.v[name] - other.v[name]) <= bounds[name]).all(), name
    assert set(right.values) == set(other.values)
    for name, values in right.values.items():
        assert (np.abs(values - other.values[name]) <= bounds[name]).all(), name


def agreed(graph: nir.NIRGraph, program: Program, inputs: Floats) -> tuple[bool, bool]:
    """Compare snnTorch and, where a chip can run it, the emulator; whether all neurons fire, and whether one can."""
    model = SpikingModel(graph, program, program)
    right = run("reference", model, inputs)
    bounds = apart(lower(absolute(graph), STEPS), inputs, right.spikes)
    assert_equal(right, run("snntorch", model, inputs), bounds)
    all_fire = all(spikes.any() for spikes in right.spikes.values())
    try:
        check_chip(program)
    except Unsupported:
        return all_fire, False
    assert_equal(right, run("loihi", model, inputs), bounds)
    return all_fire, True


@pytest.mark.parametrize("convention", [None, "snntorch"], ids=["at once", "late"])
def test_where_resets_subtract_all_agree_too(convention: str | None) -> None:
    """At least 40 graphs that fire; a Threshold keeps nothing, and is as it was."""
    fired = 0

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def check(seed: int) -> None:
        nonlocal fired
        graph = random_graph(seed)
        declare(graph, convention, reset="subtract")
        program = Program.from_bytes(lower(graph, STEPS).to_bytes())
        kinds = {p.reset for p in program.populations if p.emits == "spikes"} - {"value"}
        assert kinds <= {"late" if convention else "subtract"}
        inputs = (np.random.default_rng(seed).random((STEPS, program.inputs)) < 0.4).astype(np.float64)
        all_fire, on_chip = agreed(graph, program, inputs)
        fired += bool(kinds) and on_chip and all_fire

    check()
    assert fired >= 40


@pytest.mark.parametrize("portable", [True, False], ids=["portable", "all"])
def test_on_generated_graphs_all_agree(portable: bool) -> None:
    """At least 200 graphs that fire, of each kind."""
    fired = on_chip = 0

    @settings(max_examples=230, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.booleans())
    @example(82, False)  # a delayed neuron whose row alone is in a projection
    def check(seed: int, numbers: bool) -> None:
        nonlocal fired, on_chip
        graph = random_graph(seed, portable=portable)
        program = Program.from_bytes(lower(graph, STEPS).to_bytes())
        rng = np.random.default_rng(seed)
        shape = (STEPS, program.inputs)
        inputs = rng.normal(0.4, 0.5, shape) if numbers else (rng.random(shape) < 0.4).astype(np.float64)
        all_fire, runs_there = agreed(graph, program, inputs)
        on_chip += runs_there
        fired += runs_there and all_fire

    check()
    assert fired >= 200
    assert on_chip >= 200
