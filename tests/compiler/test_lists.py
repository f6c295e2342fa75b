"""Lists of synapses: what one or two of them hold is what the weights are, as far as their bits go."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from neuroprompt.compiler.lists import ANY, FINEST, MIXED, ONE_SIGN, WIDEST, Precision, integer_lists, sign_lists
from neuroprompt.loihi.arithmetic import EXPONENTS
from neuroprompt.loihi.synapses import stored_weights
from neuroprompt.spiking.program import Projection
from neuroprompt.spiking.weights import Weights


@given(
    seed=st.integers(0, 2**32 - 1),
    finer=st.integers(0, FINEST),
    signs=st.sampled_from([(-1, 1), (0, 1), (-1, 0)]),
    factor=st.sampled_from([1e-3, 0.9, 1.0, 37.0, 3e3, 1e5]),
    form=st.sampled_from(["dense", "sparse", "one to one"]),
)
def test_lists_add_up_to_the_weights(
    *, seed: int, finer: int, signs: tuple[int, int], factor: float, form: str
) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(*signs, (5, 6)) * (rng.random((5, 6)) < 0.7)
    weights = Weights({"dense": matrix, "sparse": csr_matrix(matrix), "one to one": matrix[0]}[form])
    lists = integer_lists(Projection("input", "p", weights), factor, Precision(*EXPONENTS, finer))
    assert 1 <= len(lists.projections) <= 2
    for part in lists.projections:
        values = part.weights.values
        assert np.array_equal(stored_weights(values) if values.size else values, values)  # the chip changes nothing
        assert EXPONENTS[0] <= part.exponent <= EXPONENTS[1]
    exact = weights.dense() * factor
    total = sum(part.weights.dense() * 2.0**part.exponent for part in lists.projections)
    heaviest = float(np.abs(exact).max())
    mixed = bool(weights.values.min(initial=0) < 0 < weights.values.max(initial=0))
    most = MIXED if mixed else ONE_SIGN
    if 0 < heaviest <= most * 2 ** EXPONENTS[1]:  # otherwise it is clipped, and counted
        exponent = max(EXPONENTS[0], int(np.ceil(np.log2(heaviest / most) - 1e-9)) - finer)
        even = finer == 0 and mixed
        assert np.abs(total - exact).max() <= 2.0**exponent * (1 if even else 0.5) * (1 + 1e-9)
        assert lists.changed == 0
    else:
        assert lists.changed > 0 or not heaviest


def test_whole_weights_of_fifteen_bits_are_held_exactly() -> None:
    whole = np.random.default_rng(0).integers(-MIXED << FINEST, (MIXED << FINEST) + 1, (8, 9)).astype(float)
    whole[0, 0] = MIXED << FINEST
    lists = integer_lists(Projection("a", "b", Weights(whole)), 1.0, Precision(0, 7, FINEST))
    high, low = lists.projections
    assert (high.exponent, low.exponent) == (FINEST, 0)
    assert low.weights.values.min() >= 0
    assert np.array_equal(high.weights.dense() * 2.0**FINEST + low.weights.dense(), whole)


def test_sums_of_numbers_may_be_shifted_right() -> None:
    lists = integer_lists(Projection("input", "p", Weights(np.array([[0.5, -0.25]]))), 1.0, ANY)
    (part,) = lists.projections
    assert part.exponent == -8
    assert part.weights.raw.tolist() == [[128, -64]]


@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.integers(9, WIDEST),
    signs=st.sampled_from([(-1, 1), (0, 1), (-1, 0)]),
    form=st.sampled_from(["dense", "sparse", "one to one"]),
)
def test_lists_of_signs_hold_whole_weights_exactly(*, seed: int, bits: int, signs: tuple[int, int], form: str) -> None:
    rng = np.random.default_rng(seed)
    most = MIXED << (bits - 9)
    # Most are small, as in trained nets, so that few need the list beyond 8 bits.
    matrix = np.rint(rng.uniform(*signs, (6, 6)) ** 5 * most)
    weights = Weights({"dense": matrix, "sparse": csr_matrix(matrix), "one to one": matrix[0]}[form])
    lists = sign_lists(Projection("input", "p", weights), weights.values, weights.values, bits)
    assert lists.changed == 0
    total = sum(part.weights.dense() * 2.0**part.exponent for part in lists.projections)
    assert np.array_equal(total, weights.dense())
    for part in lists.projections:
        values = part.weights.values
        assert np.array_equal(stored_weights(values), values)  # the chip changes nothing
    entries = sum(int(np.count_nonzero(part.weights.values)) for part in lists.projections)
    beyond = int((np.abs(weights.values) > ONE_SIGN).sum())
    assert entries <= int(np.count_nonzero(weights.values)) + beyond


def test_weights_beyond_the_bits_are_clipped_and_counted() -> None:
    whole = np.array([[600.0, -5.0, 3.0]])
    lists = sign_lists(Projection("a", "b", Weights(whole)), whole, whole, 10)
    total = np.sum([part.weights.dense() * 2.0**part.exponent for part in lists.projections], axis=0)
    assert total.tolist() == [[MIXED << 1, -5.0, 3.0]]
    assert lists.changed == 1
