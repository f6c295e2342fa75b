"""Numbers that drive neurons one to one: no input in range overflows, spikes hardly change, the rest is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
from float_bounds import gamma, near
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from neuroprompt.compiler.lower import stimulus
from neuroprompt.compiler.quantise import quantise
from neuroprompt.contracts.learning import Generator
from neuroprompt.errors import OutOfRange, Unsupported
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.spiking.neurons import IF, LIF
from neuroprompt.spiking.program import GRADED, Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights
from neuroprompt.training.deploy import spiking_model

Array = NDArray[np.float64]


def layer(weights: Array, threshold: float = 0.0, dv: float = 0.25, bias: float = 0.0, steps: int = 4) -> Program:
    n = weights.size
    population = Population("p", n, 1.0, dv, threshold, np.full(n, bias), depth=1)
    return Program("float", steps, n, (population,), (Projection("input", "p", Weights(weights)),))


def dense(weights: Array, bias: Any = 0.0, steps: int = 12) -> Program:
    n, lines = weights.shape
    population = Population("p", n, 1.0, 0.1, 1.0, np.broadcast_to(bias, n).astype(float), depth=1)
    return Program("float", steps, lines, (population,), (Projection("input", "p", Weights(weights)),))


@given(
    seed=st.integers(0, 2**32 - 1),
    dv=st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 1.0]),
    threshold=st.sampled_from([0.0, 0.3, 2.0]),
    bias=st.sampled_from([0.0, -0.2, 0.4]),
    steps=st.integers(1, 12),
    largest=st.sampled_from([1e-3, 1.0, 250.0]),
    equal=st.booleans(),
)
@example(seed=233, dv=0.0, threshold=0.0, bias=-0.2, steps=11, largest=1e-3, equal=False)  # 11 roundings add up
@settings(deadline=None, max_examples=60)
def test_no_input_in_range_overflows(
    *, seed: int, dv: float, threshold: float, bias: float, steps: int, largest: float, equal: bool
) -> None:
    rng = np.random.default_rng(seed)
    weights = np.full(50, 0.25) if equal else rng.uniform(-1, 1, 50)
    program = layer(weights, threshold * largest, dv, bias * largest, steps)
    fixed, report = quantise(program, rng.uniform(-1, 1, (steps, 50)) * largest, largest=largest)
    assert fixed.input_scale == report["projections"]["input -> p"]["input_scale"] > 0
    corners = rng.choice([-largest, largest], (steps, 50))
    for inputs in (corners, np.full((steps, 50), largest), np.full((steps, 50), -largest)):
        trace = simulate(fixed, inputs)["p"]
        assert trace.wrapped == trace.clipped == 0
    if equal:
        assert (fixed.projections[0].weights.values == 1).all()
    with pytest.raises(OutOfRange, match="on the chip"):
        fixed.encode(np.full((steps, 50), 1e6 * largest))


def test_at_threshold_0_few_spikes_change_and_the_rest_is_said() -> None:
    rng = np.random.default_rng(0)
    program = layer(np.full(20_000, 0.25))
    inputs = rng.normal(0, 0.1, (4, 20_000))
    fixed, report = quantise(program, inputs, largest=2.0)
    wanted, found = (simulate(p, inputs)["p"].spikes for p in (program, fixed))
    match = float((wanted == found).mean())
    assert 0.999 < match < 1
    assert report["spike_match"] == report["populations"]["p"]["spike_match"] == match
    said = report["projections"]["input -> p"]
    sent = fixed.encode(inputs)
    assert said["headroom_bits"] == near(np.log2(GRADED / np.abs(sent).max()))
    assert said["inputs_zeroed"] == ((inputs != 0) & (sent == 0)).sum()
    assert np.abs(sent / fixed.input_scale - inputs).max() <= said["max_error"] + gamma(8) * np.abs(inputs).max()


def test_a_scale_of_the_users_is_taken() -> None:
    fixed, _ = quantise(layer(np.full(3, 0.5), threshold=2.0), np.full((4, 3), 1.5), scale=64.0)
    assert fixed.populations[0].vth == 128
    assert fixed.input_scale == 32.0
    assert fixed.encode(np.full((4, 3), 1.5)).tolist() == [[48] * 3] * 4


def test_spikes_one_to_one_stay_spikes() -> None:
    program = layer(np.full(3, 0.5), threshold=0.7, steps=12)
    fixed, _ = quantise(program)
    assert fixed.input_scale == 0
    with pytest.raises(Unsupported, match="0 and 1"):
        fixed.encode(np.full((12, 3), 0.5))
    assert np.array_equal(
        simulate(program, stimulus(program))["p"].spikes, simulate(fixed, stimulus(program))["p"].spikes
    )


def test_several_listeners_share_the_scale_of_the_lines() -> None:
    rng = np.random.default_rng(0)
    one = layer(np.full(3, 0.5))
    other = Population("q", 4, 1.0, 0.25, 1.5, np.zeros(4), depth=1)
    dense = Projection("input", "q", Weights(rng.normal(0, 1, (4, 3))))
    two = replace(one, populations=(*one.populations, other), projections=(*one.projections, dense))
    inputs = rng.uniform(-1, 1, (4, 3))
    fixed, report = quantise(two, inputs, largest=1.0)
    assert {said["input_scale"] for said in report["projections"].values()} == {fixed.input_scale}
    for corner in (np.ones((4, 3)), -np.ones((4, 3))):
        assert all(t.wrapped == t.clipped == 0 for t in simulate(fixed, corner).values())
    wanted, found = simulate(two, inputs), simulate(fixed, inputs)
    assert np.array_equal(wanted["q"].spikes, found["q"].spikes)


def test_lanes_of_dense_weights_are_refused() -> None:
    dense = replace(layer(np.full(3, 0.5)), projections=(Projection("input", "p", Weights(np.eye(3))),))
    with pytest.raises(Unsupported, match="dense weights"):
        SpikingModel(nir.NIRGraph({}, [], type_check=False), dense, dense).lanes(2)


def test_a_model_without_integers_says_why_in_lanes_too() -> None:
    model = spiking_model(Generator(nn.Sequential(IF(0.5)), 4, inputs=1, largest=1.0))
    model = replace(model, quantisation_error=Unsupported("a reason", "another"))
    for each in (model, model.lanes(2)):
        with pytest.raises(Unsupported, match="a reason"):
            each.program("fixed")


def test_many_steps_leave_fewer_bits_and_nothing_overflows() -> None:
    steps = 2000
    fixed, _ = quantise(layer(np.array([0.3, -1.0]), 0.5, dv=0.0, steps=steps), np.full((steps, 2), 0.25), largest=1.0)
    silent = replace(fixed, populations=(replace(fixed.populations[0], vth=2**17 - 1),))
    for x in (-1.0, 1.0):
        trace = simulate(silent, np.full((steps, 2), x))["p"]
        assert trace.wrapped == trace.clipped == 0
        assert np.abs(trace.v).max() > 2**22  # a bit of room is left at most


def test_very_many_steps_leave_none() -> None:
    program = layer(np.array([0.3, -1.0]), 0.5, dv=0.0, steps=20_000)
    with pytest.raises(Unsupported, match=r"node 'p'.* by \d+\.\d+%.*fewer lines or steps"):
        quantise(program, np.full((20_000, 2), 0.25), largest=1.0)


def test_inputs_twice_as_large_fit_and_larger_ones_are_refused() -> None:
    rng = np.random.default_rng(0)
    program = dense(rng.normal(0, 1, (20, 30)))
    inputs = rng.random((program.steps, 30))
    fixed, _ = quantise(program, inputs)
    assert simulate(fixed, 2 * inputs)["p"].wrapped == 0
    assert np.array_equal(simulate(fixed, 1.9 * inputs)["p"].spikes, simulate(program, 1.9 * inputs)["p"].spikes)
    with pytest.raises(OutOfRange, match="in node 'p'; expected at most 131071"):
        fixed.encode(20 * inputs)


def test_a_bias_beyond_its_mantissa_comes_with_the_currents() -> None:
    """The host delivers both to a layer behind others; a bias has 13 bits, and a current 17."""
    rng = np.random.default_rng(0)
    program = dense(rng.normal(0, 0.05, (20, 30)), bias=rng.normal(0.3, 0.3, 20))
    inputs = rng.random((program.steps, 30))
    fixed, report = quantise(program, inputs)
    (population,) = fixed.populations
    assert not population.bias.any()
    assert population.currents[0][0] == 0
    assert report["populations"]["p"]["clipped"] == 0
    assert report["populations"]["p"]["max_error"] <= 0.5 / report["populations"]["p"]["scale"] * (1 + 1e-9)
    assert np.array_equal(simulate(fixed, inputs)["p"].spikes, simulate(program, inputs)["p"].spikes)


def test_a_bias_that_becomes_0_beside_a_current_is_reported() -> None:
    program = dense(np.random.default_rng(0).normal(0, 1, (20, 30)), bias=1e-9)
    population = replace(program.populations[0], currents=((3, np.full(20, 0.2)),))
    inputs = np.random.default_rng(1).random((program.steps, 30))
    _, report = quantise(replace(program, populations=(population,)), inputs)
    assert report["populations"]["p"]["zeroed"] == 20


@given(seed=st.integers(0, 2**32 - 1), split=st.booleans(), late=st.booleans())
@settings(deadline=None, max_examples=15)
def test_numbers_may_reach_a_node_twice(*, seed: int, split: bool, late: bool) -> None:
    """With another delay, or as two lists by sign."""
    rng = np.random.default_rng(seed)
    program = dense(rng.normal(0, 1, (10, 20)))
    if late:
        again = Projection("input", "p", Weights(rng.normal(0, 0.5, (10, 20))), lag=2, delay=2)
        program = replace(program, projections=(*program.projections, again))
    inputs = rng.random((program.steps, 20))
    fixed, report = quantise(program, inputs, split=split)
    assert len(report["projections"]) == (1 + split) * (1 + late)
    wanted, chip = (simulate(each, inputs)["p"].spikes for each in (program, fixed))
    assert (wanted & chip).sum() >= 0.97 * (wanted | chip).sum()


def test_pixels_in_255ths_are_not_rounded() -> None:
    rng = np.random.default_rng(0)
    program = dense(rng.normal(0, 1, (20, 30)))
    inputs = rng.integers(0, 256, (program.steps, 30)) / 255
    fixed, report = quantise(program, inputs)
    assert fixed.input_scale % 255 == 0
    assert report["projections"]["input -> p"]["input_rounding"] < 1e-12


def test_the_file_holds_the_scale() -> None:
    fixed, _ = quantise(layer(np.full(3, 0.5)), np.full((4, 3), 0.5))
    again = Program.from_bytes(fixed.to_bytes())
    assert again.input_scale == fixed.input_scale
    assert again.projections[0].weights.is_one_to_one


@pytest.mark.parametrize("neurons", [IF(0.5), LIF(4.0, 0.1)])
def test_lanes_are_runs_of_their_own(neurons: nn.Module) -> None:
    model = spiking_model(Generator(nn.Sequential(neurons), 6, inputs=5, largest=1.0))
    inputs = np.random.default_rng(0).uniform(-1, 1, (6, 15))
    wide = model.lanes(3)
    for precision in ("float", "fixed"):
        (together,) = simulate(wide.program(precision), inputs).values()
        assert together.spikes.any()
        for lane in range(3):
            (alone,) = simulate(model.program(precision), inputs[:, 5 * lane : 5 * lane + 5]).values()
            assert np.array_equal(together.spikes[:, 5 * lane : 5 * lane + 5], alone.spikes)
