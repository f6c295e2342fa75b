"""A batch of runs: every target gives each item what it gives that item alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import nir
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_graphs import random_graph

from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.quantise import quantise
from neuroprompt.compiler.schedule import check_chip
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.loihi import arithmetic
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.loihi.neurons import Trace
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

Floats = NDArray[np.float64]
STEPS, ITEMS = 12, 5
KINDS = ("spikes", "u", "v", "values")


def batch_for(program: Program, seed: int, numbers: bool) -> Floats:
    """Items of spikes at different rates, one of them silent, and one of numbers among them where asked for."""
    rng = np.random.default_rng(seed)
    rates = np.array([0.0, 0.1, 0.4, 0.8, 1.0])[:, None, None]
    items = (rng.random((ITEMS, program.steps, program.inputs)) < rates).astype(np.float64)
    if numbers:
        items[2:4] = rng.normal(0.4, 0.5, items[2:4].shape)
    return items


def assert_same_traces(program: Program, items: Floats) -> None:
    """In float and integers, equal to single runs in all that a trace holds."""
    together = simulate(program, items)
    for i, inputs in enumerate(items):
        for name, alone in simulate(program, inputs).items():
            trace: Trace = together[name]
            assert np.array_equal(trace.spikes[i], alone.spikes), name
            assert np.array_equal(trace.u[i], alone.u), name
            assert np.array_equal(trace.v[i], alone.v), name
            for overflows, single in ((trace.wrapped, alone.wrapped), (trace.clipped, alone.clipped)):
                assert np.broadcast_to(overflows, len(items))[i] == single, name


def test_the_emulator_gives_each_item_of_a_batch_what_it_gives_it_alone() -> None:
    """Float and fixed, over graphs with convolutions, cycles, delays and numbers as inputs; bit for bit."""
    floats = fixed = 0

    @settings(max_examples=120, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
    @example(82, True, False)
    def check(seed: int, numbers: bool, portable: bool) -> None:
        nonlocal floats, fixed
        program = lower(random_graph(seed, portable=portable), STEPS)
        items = batch_for(program, seed, numbers)
        try:
            check_chip(program)
        except Unsupported:
            return
        assert_same_traces(program, items)
        floats += 1
        try:
            integers, _ = quantise(program, items[3])
            integers.encode(items)
        except Unsupported:  # numbers that the integers cannot say
            return
        assert_same_traces(integers, items)
        fixed += 1

    check()
    assert floats >= 80
    assert fixed >= 40


@st.composite
def integer_programs(draw: st.DrawFn) -> Program:
    """Fixed programs whose potentials overflow, in every form of weights, in cycles, with currents and exponents."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = [int(rng.integers(1, 90)) for _ in range(int(rng.integers(1, 4)))]
    names = [f"p{i}" for i in range(len(sizes))]
    populations, projections = [], []
    lines = int(rng.integers(1, 90))
    for i, (name, size) in enumerate(zip(names, sizes, strict=True)):
        du = rng.integers(0, 4096, size) if rng.random() < 0.4 else int(rng.choice([0, 100, 4095]))
        bias = rng.integers(-50, 400, size) * (rng.random() < 0.7)
        currents = ((int(rng.integers(0, 4)), rng.integers(-9000, 9000, size)),) if rng.random() < 0.4 else ()
        vth = int(rng.integers(0, 2**17))
        population = Population(name, size, du, int(rng.integers(0, 4096)), vth, bias, 6, depth=i + 1)
        populations.append(replace(population, currents=currents))
        source = "input" if i == 0 else names[i - 1]
        columns = lines if i == 0 else sizes[i - 1]
        projections.append(_joined(rng, source, name, size, columns))
        if rng.random() < 0.4:  # a cycle through itself, or through an earlier one
            back = int(rng.integers(0, i + 1))
            projections.append(replace(_joined(rng, name, names[back], sizes[back], size), lag=1))
    steps = int(rng.integers(1, 12))
    return Program("fixed", steps, lines, tuple(populations), tuple(projections))


def _joined(rng: np.random.Generator, source: str, target: str, rows: int, columns: int) -> Projection:
    matrix = 2 * rng.integers(-128, 128, (rows, columns))
    weights = Weights(matrix)
    if rows == columns and rng.random() < 0.5:
        weights = Weights(np.diag(matrix).copy())
    elif rng.random() < 0.4:
        weights = Weights.best(matrix * (rng.random(matrix.shape) < 0.1))
    lag, exponent = int(rng.integers(0, 3)), int(rng.choice([-3, 0, 0, 7]))
    return Projection(source, target, weights, lag=lag if source == "input" else 0, delay=lag, exponent=exponent)


def near(monkeypatch: pytest.MonkeyPatch, items: int, steps: int) -> None:
    """Sizes at which layers of some neurons run so many items, and make the sums of so many steps, at a time."""
    sizes = {"NEAR": items * 4, "BLOCK": items * 4 * steps, "CELLS": items * 4 * STEPS}
    for name, size in sizes.items():
        monkeypatch.setattr(arithmetic, name, size)


@settings(max_examples=150, deadline=None)
@given(integer_programs(), st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 5))
def test_integers_that_overflow_do_so_alike(program: Program, seed: int, items: int, steps: int) -> None:
    """However many items and steps are taken at a time."""
    with pytest.MonkeyPatch.context() as patch:
        near(patch, items, steps)
        assert_same_traces(program, batch_for(program, seed, numbers=False))


def test_what_a_cycle_adds_does_not_overflow_small_integers() -> None:
    """Few spikes through narrow weights are added in 16 bits; what comes from outside and from the cycle is not."""
    none = np.zeros(60, np.int64)
    population = Population("p", 60, 4095, 4095, 2**17 - 1, none, 6, depth=1, currents=())
    outside = Projection("input", "p", Weights(np.full((60, 1200), 255)))
    back = Projection("p", "p", Weights(np.full((60, 60), 255)), lag=1)
    program = Program("fixed", 3, 1200, (replace(population, vth=20000),), (outside, back))
    lines = np.zeros((40, 3, 1200), bool)
    lines[0, :, :120] = True  # 30,600 of 255 each, and 15,300 of the 60 that fire
    assert_same_traces(program, lines)
    assert simulate(program, lines)["p"].v[0, 1, 0] == 0


def test_overflows_are_counted_by_item() -> None:
    population = Population("p", 2, 4095, 0, 2**17 - 1, np.zeros(2, np.int64), 6, depth=1)
    projection = Projection("input", "p", Weights(np.full((2, 40), 254)), exponent=4)
    program = Program("fixed", 3, 40, (population,), (projection,))
    lines = np.array([0, 20, 40])[:, None, None] > np.arange(40)
    trace = simulate(program, np.broadcast_to(lines, (3, 3, 40)))["p"]
    assert np.array_equal(trace.wrapped, [0, 0, 6])
    assert np.array_equal(trace.clipped, [0, 2, 4])


@pytest.mark.parametrize("name", ["reference", "loihi", "snntorch", "norse"])
def test_a_recording_of_a_batch_has_the_items_first(name: str) -> None:
    assert_items_as_alone(SpikingTarget.named(name), chain())


@pytest.mark.parametrize("name", ["nengo", "rockpool", "sinabs", "spikingjelly", "spyx"])
def test_simulators_in_packages_of_their_own_take_a_batch(name: str) -> None:
    """Each run starts a process: the last item alone, which would have what the others left behind."""
    if not SpikingTarget.part(name).available().ok:
        pytest.skip(f"{name} is not built")
    assert_items_as_alone(SpikingTarget.named(name), chain(), alone=(2,))


def test_lava_takes_a_batch(lava: SpikingTarget) -> None:
    assert_items_as_alone(lava, chain(), "fixed")


def chain() -> SpikingModel:
    """Two layers with a recurrence; in quarters, so that every float library adds them up exactly."""
    rng = np.random.default_rng(3)
    none, tau = np.zeros(4), np.full(4, 2e-4)
    weights = [nir.Linear(rng.integers(-2, 4, shape) / 4) for shape in ((4, 3), (4, 4), (4, 4))]
    lif = [nir.LIF(tau=tau, r=none + 1, v_leak=none, v_threshold=none + 0.25, v_reset=none) for _ in "ab"]
    nodes = {"input": nir.Input({"input": np.array([3])}), "fc": weights[0], "a": lif[0], "rec": weights[1]}
    nodes |= {"out": weights[2], "b": lif[1], "output": nir.Output({"output": np.array([4])})}
    edges = [("input", "fc"), ("fc", "a"), ("a", "rec"), ("rec", "a"), ("a", "out"), ("out", "b"), ("b", "output")]
    graph = nir.NIRGraph(nodes, edges, metadata={"dt": 1e-4})
    program = lower(graph, STEPS)
    return SpikingModel(graph, program, quantise(program)[0])


def assert_items_as_alone(
    target: SpikingTarget, model: SpikingModel, precision: str = "float", alone: Sequence[int] = (0, 1, 2)
) -> None:
    items = batch_for(model.float_program, 1, numbers=False)[1:4]
    together = target.run(model, items, precision, states=True)
    assert {array.shape[:2] for array in together.spikes.values()} == {(3, STEPS)}
    assert any(array.any() for array in together.spikes.values())
    for i in alone:
        assert_equal(together.item(i), target.run(model, items[i], precision, states=True))


def assert_equal(one: Recording, other: Recording) -> None:
    assert one.delay == other.delay
    for kind in KINDS:
        arrays, others = getattr(one, kind), getattr(other, kind)
        assert set(arrays) == set(others)
        for name, array in arrays.items():
            assert np.array_equal(array, others[name]), (kind, name)


@pytest.mark.parametrize("precision", ["float", "fixed"])
@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_a_batch_in_parts_is_the_batch_as_a_whole(monkeypatch: pytest.MonkeyPatch, precision: str, chip: str) -> None:
    model = chain() if chip == "loihi2" else chain().on("loihi1")
    emulator = SpikingTarget.named("loihi")
    items = batch_for(model.float_program, 1, numbers=False)
    whole = emulator.run(model, items, precision, states=True)
    monkeypatch.setattr(sys.modules[type(emulator).__module__], "CELLS", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # threads that share the items
    near(monkeypatch, items=2, steps=5)
    assert_equal(emulator.run(model, items, precision, states=True), whole)
    assert any(array.any() for array in whole.spikes.values())


@pytest.mark.parametrize("shape", [(3,), (0, STEPS, 3), (2, STEPS, 4), (2, STEPS + 1, 3), (1, 1, STEPS, 3)])
def test_wrong_shapes_name_what_is_expected(shape: tuple[int, ...]) -> None:
    with pytest.raises(Unsupported, match="inputs of shape"):
        SpikingTarget.named("loihi").run(chain(), np.zeros(shape), "fixed")


def test_what_is_not_asked_for_is_not_kept() -> None:
    recording = SpikingTarget.named("loihi").run(chain(), np.ones((2, STEPS, 3)), "fixed")
    assert recording.u == recording.v == {}
