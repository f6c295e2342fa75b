"""The scale search: exact where it must be, honest in its report where it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from neuroprompt.compiler.quantise import quantise
from neuroprompt.errors import BadSetting, OutOfRange, Unsupported
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.loihi.ranges import check_range
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

Array = NDArray[np.float64]


def constant(drive: Array, threshold: float, steps: int, dv: float = 0.0) -> Program:
    return Program("float", steps, 1, (Population("p", drive.size, 1.0, dv, threshold, drive),), ())


def driven(weights: Any, threshold: float = 1.0, bias: Any = 0.0, dv: float = 0.0, steps: int = 12) -> Program:
    w = np.array(weights, dtype=np.float64)
    population = Population("p", len(w), 1.0, dv, threshold, np.broadcast_to(bias, len(w)).astype(float), depth=1)
    return Program("float", steps, w.shape[1], (population,), (Projection("input", "p", Weights(w)),))


def spikes_in(program: Program, seed: int = 0) -> Array:
    return (np.random.default_rng(seed).random((program.steps, program.inputs)) < 0.5).astype(np.float64)


def first_spikes(drive: Array, threshold: float, steps: int) -> NDArray[np.bool_]:
    """The definition, v <- v + P in float64, written out once more."""
    v, fired = np.zeros(drive.size), np.zeros((steps, drive.size), bool)
    for t in range(steps):
        v = v + drive
        fired[t] = v > threshold
        v[fired[t]] = 0
    return fired


def equal(program: Program, fixed: Program, inputs: Array) -> bool:
    ours, theirs = simulate(program, inputs), simulate(fixed, inputs)
    return all(np.array_equal(ours[name].spikes, theirs[name].spikes) for name in ours)


def beside(k: int, ulps: int) -> float:
    """1/k, or a float32 next to it."""
    return float(np.float32(1 / k)) + ulps * 2.0**-26


@given(
    # Currents of every size, and those that land on or beside Vth / k, where a rounded bias would go wrong.
    st.lists(
        st.one_of(
            st.floats(-3, 3, width=32),
            st.floats(-(2.0**100), 2.0**100, width=32),
            st.builds(beside, st.integers(1, 20), st.integers(-2, 2)),
        ),
        min_size=1,
        max_size=50,
    ),
    st.sampled_from([1.0, 0.5, 0.0, 0.1, 7.3, 1e-3]),
    st.integers(1, 20),
)
@settings(deadline=None, max_examples=100)
def test_constant_drive_is_exact(drive: list[float], threshold: float, steps: int) -> None:
    currents = np.array(drive) * (threshold or 1.0)
    program = constant(currents, threshold, steps)
    fixed, report = quantise(program)
    spikes = simulate(fixed, np.zeros((steps, 1)))["p"].spikes
    assert np.array_equal(spikes, first_spikes(currents, threshold, steps))
    assert report["spike_match"] == 1.0
    assert report["populations"]["p"]["clipped"] == report["populations"]["p"]["dead"] == 0


def test_constant_drive_of_a_vit_b_is_exact() -> None:
    drive = np.random.default_rng(0).uniform(-0.2, 1.4, 12 * 10 * 768).astype(np.float32).astype(np.float64)
    fixed, report = quantise(constant(drive, 1.0, 4))
    (population,) = fixed.populations
    expected = first_spikes(drive, 1.0, 4)
    assert 0.2 < expected.mean() < 0.8
    assert np.array_equal(simulate(fixed, np.zeros((4, 1)))["p"].spikes, expected)
    assert (population.vth, population.bias_exp, population.du) == (4092, 6, 4095)
    assert population.bias.min() >= -4096
    assert population.bias.max() <= 4095
    counted = report["populations"]["p"]
    assert counted["saturated_harmless"] == int((drive * 4092 > 4095).sum()) > 0
    assert counted["max_error"] < 2 / 4092


def test_every_period_up_to_64_can_be_said_and_beyond_the_report_tells() -> None:
    periods = np.arange(1, 66)
    drive = np.append(1 / (periods - 0.5), -1.0)
    _, report = quantise(constant(drive, 1.0, 64))
    assert report["spike_match"] == 1.0
    drive = 1 / (np.arange(1, 151) - 0.5)
    fixed, report = quantise(constant(drive, 1.0, 150))
    match = (simulate(fixed, np.zeros((150, 1)))["p"].spikes == first_spikes(drive, 1.0, 150)).mean()
    assert report["spike_match"] == match
    assert 0.97 < match < 1.0


@given(st.sampled_from([1.5, 2.0, 4.0, 7.0]), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_constant_drive_of_leaky_neurons_is_exact_too(tau: float, seed: int) -> None:
    drive = np.random.default_rng(seed).uniform(-0.5, 1.5, 200)
    program = constant(drive, 1.0, 8, dv=1 / tau)
    fixed, report = quantise(program)
    assert equal(program, fixed, np.zeros((8, 1)))
    assert report["populations"]["p"]["dv"] == round(4096 / tau)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_weights_that_integers_can_hold_are_kept_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Multiples of 1/16 up to 2: even integers at a scale of 32; thresholds of multiples of 1/32.
    program = driven(
        rng.integers(-32, 33, (6, 5)) / 16, threshold=rng.integers(0, 65) / 32, bias=rng.integers(-8, 9, 6) / 16
    )
    inputs = spikes_in(program, seed)
    fixed, report = quantise(program, inputs)
    assert equal(program, fixed, inputs)
    assert report["spike_match"] == 1.0
    scale = report["populations"]["p"]["scale"]
    if scale in (32.0, 64.0) and report["projections"]["input -> p"]["max_error"] == 0:
        assert equal(program, fixed, spikes_in(program, seed + 1))  # exact weights: exact on all inputs


def test_search_beats_the_largest_scale_on_a_leaky_net() -> None:
    rng = np.random.default_rng(1)
    program = driven(rng.normal(0, 0.4, (40, 60)), dv=0.1, steps=60)
    inputs = spikes_in(program)
    fixed, report = quantise(program, inputs)
    wanted = simulate(program, inputs)["p"].spikes
    found = simulate(fixed, inputs)["p"].spikes
    assert wanted.sum() > 100
    assert report["populations"]["p"]["spike_match"] == (wanted == found).mean() > 0.98
    weights = fixed.projections[0].weights.values
    counted = report["projections"]["input -> p"]
    assert (weights % 2 == 0).all()
    assert weights.min() >= -256
    assert weights.max() <= 254
    scale = counted["scale"] / 2 ** counted["exponent"]
    assert counted["zeroed"] == ((program.projections[0].weights.values != 0) & (weights == 0)).sum()
    assert counted["odd_to_even"] == (np.rint(program.projections[0].weights.values * scale) % 2 != 0).sum() > 0
    assert counted["max_error"] == np.abs(weights / scale - program.projections[0].weights.values).max()
    check_range(fixed)


def test_one_sign_keeps_odd_weights() -> None:
    fixed, report = quantise(driven([[1.0, 3.0, 255.0]], threshold=200.0), scale=1.0)
    assert fixed.projections[0].weights.values.tolist() == [[1, 3, 255]]
    assert report["projections"]["input -> p"]["odd_to_even"] == 0


@pytest.mark.parametrize(
    ("program", "what"),
    [
        (driven([[1000.0, 2.0]]), "a weight from 'input' to 'p' is 1000"),
        (driven([[3.0, -2.0]]), "odd beside"),
        (driven([[1.0, 2.0]], threshold=200000.0), "threshold of 'p' is 200000"),
        (driven([[1.0, 2.0]], bias=5000.0), "bias of 'p' is 5000"),
        (driven([[0.3, -0.2]]), "every weight from 'input' to 'p' becomes 0"),
    ],
)
def test_a_given_scale_clips_nothing(program: Program, what: str) -> None:
    with pytest.raises(OutOfRange, match=what):
        quantise(program, scale=1.0)


def test_weights_too_small_for_their_threshold_are_reported_dead() -> None:
    program = driven([[1.0, 1e-4], [1e-4, 1e-4]], threshold=2e-4, steps=20)
    inputs = np.ones((20, 2))
    _, report = quantise(program, inputs)
    assert simulate(program, inputs)["p"].spikes[:, 1].any()
    assert report["projections"]["input -> p"]["zeroed"] == 3
    assert report["populations"]["p"]["dead"] == 1


def test_what_cannot_be_quantised_is_refused() -> None:
    program = driven([[1.0, 2.0]])
    with pytest.raises(Unsupported, match="'p' has a membrane time constant of 20000 steps, too slow"):
        quantise(driven([[1.0, 2.0]], dv=1 / 20000))
    with pytest.raises(BadSetting, match="fixed already"):
        quantise(quantise(program)[0])
    with pytest.raises(BadSetting, match="scale 0"):
        quantise(program, scale=0.0)
