"""Weights: all forms are the same matrix, they keep a copy that nobody can change, and what is made of them stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights


@given(
    form=st.sampled_from(["one to one", "dense", "sparse"]),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    whole=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_form_is_its_matrix(form: str, shape: tuple[int, int], whole: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    out, lines = (shape[0],) * 2 if form == "one to one" else shape
    matrix: NDArray[Any] = rng.integers(-2, 3, (out, lines)).astype(np.int32 if whole else np.float64)
    if form == "one to one":
        matrix = np.diag(np.diag(matrix))
    weights = Weights({"one to one": np.diag(matrix), "dense": matrix, "sparse": csr_matrix(matrix)}[form])
    assert (weights.form, weights.shape) == (form, (out, lines))
    assert [weights.is_one_to_one, weights.is_dense, weights.is_sparse].count(True) == 1
    x: NDArray[Any] = rng.integers(-3, 4, (5, lines))
    factors: NDArray[Any] = rng.integers(1, 4, out)
    assert np.array_equal(weights.dense(), matrix)
    assert np.array_equal(weights.rows().toarray(), matrix)
    assert np.array_equal(weights.apply(x), x @ matrix.T)
    assert np.array_equal(weights.fan_out, (matrix != 0).sum(axis=0))
    assert np.array_equal(weights.scaled_rows(factors).dense(), matrix * factors[:, None])
    doubled = weights.with_values(weights.values * 2)
    assert (doubled.form, doubled.values.dtype) == (form, matrix.dtype)
    assert np.array_equal(doubled.dense(), matrix * 2)
    assert np.array_equal(Weights.best(matrix).dense(), matrix)
    assert np.array_equal(Weights.best(csr_matrix(matrix)).dense(), matrix)


def test_the_best_form_is_the_smallest_that_gains_something() -> None:
    diagonal, few = np.diag(np.arange(1.0, 101.0)), np.zeros((100, 100))
    few[::20, 3] = 1.0
    assert [Weights.best(m).form for m in (diagonal, few, few[:20], few + 1)] == [
        "one to one",
        "sparse",
        "dense",
        "dense",
    ]


@pytest.mark.parametrize("form", ["one to one", "dense", "sparse"])
def test_weights_never_change_and_leave_the_callers_array_alone(form: str) -> None:
    theirs = np.ones(3) if form == "one to one" else np.ones((2, 3))
    rows = csr_matrix(theirs)
    weights = Weights(rows if form == "sparse" else theirs)
    assert weights.cached(lambda w: w.values.sum()) == theirs.sum()
    theirs[0] = 7.0
    rows.data[0] = 7.0
    assert weights.values.max() == 1.0
    with pytest.raises(ValueError, match="read-only"):
        weights.values[0] = 2.0


def test_what_is_made_of_weights_is_made_once() -> None:
    calls: list[float] = []

    def total(weights: Weights) -> float:
        calls.append(float(weights.values.sum()))
        return calls[-1]

    for size in (3, 4):
        weights = Weights(np.ones(size))
        assert weights.cached(total) == weights.cached(total) == size
    assert calls == [3, 4]


def test_other_shapes_are_a_bug() -> None:
    with pytest.raises(ValueError, match="expected"):
        Weights(np.ones((2, 2, 2)))


@pytest.mark.parametrize("form", ["one to one", "dense", "sparse"])
def test_the_file_keeps_the_form(form: str) -> None:
    matrix = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 3]], np.int32)
    raw = {"one to one": np.diag(matrix), "dense": matrix, "sparse": csr_matrix(matrix)}[form]
    layer = Population("a", 3, 4095, 0, 5, np.zeros(3, np.int32))
    program = Program("fixed", 2, 3, (layer,), (Projection("input", "a", Weights(raw), exponent=3),))
    (again,) = Program.from_bytes(program.to_bytes()).projections
    assert (again.weights.form, again.exponent) == (form, 3)
    assert np.array_equal(again.weights.dense(), matrix)
    assert again.weights.values.dtype == np.int32
