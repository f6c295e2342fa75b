"""Balanced rounding: never further than a step, and never worse on average than rounding to the nearest."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuroprompt.compiler.balance import balanced
from neuroprompt.spiking.weights import Weights

Array = NDArray[np.float64]


@given(
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(["dense", "sparse", "one to one"]),
    step=st.sampled_from([1, 2]),
    span=st.sampled_from([1.0, 10.0, 300.0]),
)
def test_balanced_rounding_is_near_and_its_mean_error_small(*, seed: int, form: str, step: int, span: float) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(0, 20, (5, 5)) * (rng.random((5, 5)) < 0.8)
    weights = Weights({"dense": matrix, "sparse": csr_matrix(matrix), "one to one": matrix[0]}[form])
    rates, spans, shift = rng.random(5) * (rng.random(5) < 0.9), np.full(5, span), rng.normal(0, 0.3, 5)
    values, left = balanced(weights, step, rates, spans, shift)
    whole, exact = weights.with_values(values).dense(), weights.dense()
    assert np.array_equal(whole, step * np.rint(whole / step))
    assert np.all(np.abs(whole - exact) < step)
    # Sums of at most 6 numbers below 50 are off by less than 300 times the smallest step of a float at 1.
    assert np.all(np.abs(left - (shift + (whole - exact) @ rates)) <= 300 * np.finfo(float).eps)

    def square(rounded: Array) -> Array:
        errors = rounded - exact
        return spans * (shift + errors @ rates) ** 2 + errors**2 @ rates

    nearest = step * np.rint(exact / step)
    assert np.all(square(whole) <= square(nearest) * (1 + 1e-9) + 1e-9)
    assert np.array_equal(whole[exact == 0], exact[exact == 0])


def test_a_shift_of_all_weights_is_taken_out() -> None:
    """Ten weights of 3.4 become six of 3 and four of 4, whose sum is theirs; to the nearest all would be 3."""
    values, left = balanced(Weights(np.full((1, 10), 3.4)), 1, np.ones(10), np.array([100.0]), np.zeros(1))
    assert sorted(values[0]) == [3.0] * 6 + [4.0] * 4
    assert abs(left[0]) < 1e-12
