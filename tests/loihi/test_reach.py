"""What a population can reach: where float32 and no look for overflows are said to be enough, they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.loihi.neurons import FixedNeurons, Trace
from neuroprompt.loihi.reach import HALF, magnitude, most_by_weights, reach
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights


def run(population: Population, a: np.ndarray, most: float) -> Trace:
    neurons = FixedNeurons(population, len(a), most=most)
    for t, arriving in enumerate(a):
        neurons.step(t, arriving)
    return neurons.trace()


def test_in_what_a_reach_allows_the_numbers_are_those_of_64_bits() -> None:
    """Decays of few and of many bits, biases, refractory steps, and sums up to where float32 ends."""
    narrow = wide = 0

    @settings(max_examples=120, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def check(seed: int) -> None:
        nonlocal narrow, wide
        rng = np.random.default_rng(seed)
        decays = [0, 1, 1023, 1024, 2048, 3072, 4000, 4095]
        du, dv = (rng.choice(decays, 6) if rng.random() < 0.5 else int(rng.choice(decays)) for _ in "uv")
        depth, hold = int(rng.integers(0, 2)), bool(rng.integers(0, 2))
        bias = rng.integers(-4000, 4000, 6) * (rng.random() < 0.5)
        population = Population("a", 6, du, dv, int(rng.integers(0, 2**17)), bias, 6, depth=depth, hold=hold)
        most = int(2 ** rng.uniform(0, 17))
        a = rng.integers(-most, most + 1, (20, 6)).astype(str(rng.choice(["int32", "float32", "float64"])))
        a[3:7] = most
        limits = reach(population, 20, magnitude(a))
        narrow, wide = narrow + limits.narrow, wide + (not limits.narrow)
        quick, plain = run(population, a, magnitude(a)), run(population, a, np.inf)
        for kind in ("spikes", "u", "v", "wrapped", "clipped"):
            assert np.array_equal(getattr(quick, kind), getattr(plain, kind)), kind
        assert limits.may_wrap or not plain.wrapped
        assert limits.may_clip or not plain.clipped

    check()
    assert narrow > 8
    assert wide > 8


def test_the_largest_sum_is_that_of_all_that_can_fire() -> None:
    weights = Weights(np.array([[200, -254, 2], [-4, 6, 8]]))
    a, b = (Population(name, 2, 4095, 4095, 10, np.zeros(2, int), 6, depth=1) for name in "ab")
    lines = Projection("input", "a", weights, exponent=1)
    program = Program("fixed", 1, 3, (a, b), (lines, Projection("a", "b", Weights(np.full(2, 5)), exponent=-2)))
    assert most_by_weights(program, a) == 2 * (200 + 254 + 2)
    assert most_by_weights(program, b) == 5 / 4 + 1
    numbers = Program("fixed", 1, 3, (a,), (lines,), input_scale=2.0)
    assert most_by_weights(numbers, a) == np.inf


def test_a_product_beyond_24_bits_is_not_taken_for_exact() -> None:
    """v (4096 - 1) / 4096 of v = 2^13 + 1 and more needs 25 bits and more."""
    population = Population("a", 1, 4095, 1, 2**17 - 1, np.zeros(1, int), 6, depth=1)
    assert not reach(population, 50, 100).narrow
    assert reach(Population("a", 1, 4095, 1024, 2**17 - 1, np.zeros(1, int), 6, depth=1), 50, 100).narrow
    program = Program("fixed", 50, 1, (population,), (Projection("input", "a", Weights(np.full((1, 1), 100))),))
    v, kept = 0, []
    for _ in range(50):
        v = v * 4095 // 4096 + (100 << 6)
        kept.append(v)
    assert np.array_equal(simulate(program, np.ones((50, 1)))["a"].v[:, 0], kept)
    assert kept[-1] < HALF
