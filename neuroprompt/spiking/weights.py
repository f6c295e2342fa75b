"""The weights of a projection in their three forms: one to one (n,), dense (out, in), and sparse (out, in) rows."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

Array = NDArray[Any]
Weights = Any
"""An array (n,), an array (out, in), or a scipy csr_matrix (out, in)."""

SPARSE_BELOW = 0.25
"""Share of weights that are not zero below which a matrix is kept as sparse rows."""
SMALL = 4096
"""Matrices of at most so many weights stay dense: nothing is gained."""


def numbers(weights: Weights) -> Array:
    """All stored weights as one array; of sparse rows those that are there."""
    found: Array = weights.data if issparse(weights) else weights
    return found


def replaced(weights: Weights, new: Array) -> Weights:
    """The same form with other numbers, in the order of `numbers`; zeros of sparse rows stay stored."""
    if issparse(weights):
        return csr_matrix((new, weights.indices.copy(), weights.indptr.copy()), shape=weights.shape)
    return new


def one_to_one(weights: Weights) -> bool:
    """Whether neuron i has line i alone."""
    return not issparse(weights) and weights.ndim == 1


T = TypeVar("T")
_MADE: dict[tuple[int, Any], tuple[weakref.ref[Any], Any]] = {}


def cached(make: Callable[[Weights], T], weights: Weights) -> T:
    """make(weights), made once and kept as long as `weights` is, which can no longer be written to.

    Weights stay the same from run to run, and what is made of them can cost more than a run of few spikes.
    """
    key = (id(weights), make)
    if key not in _MADE:
        made = make(weights)
        numbers(weights).flags.writeable = False
        _MADE[key] = weakref.ref(weights, lambda _: _MADE.pop(key, None)), made
    found: T = _MADE[key][1]
    return found


def drive(weights: Weights, x: Array) -> Array:
    """W x for every row of x (T, in) -> (T, out)."""
    if issparse(weights):
        return np.asarray((weights @ x.T).T)
    made: Array = weights * x if weights.ndim == 1 else x @ weights.T
    return made


def fan_out(weights: Weights) -> NDArray[np.int64]:
    """For every source line the number of weights that are not 0, (in,)."""
    if issparse(weights):
        there = weights.indices[weights.data != 0]
        found: NDArray[np.int64] = np.bincount(there, minlength=weights.shape[1])
        return found
    counts: NDArray[np.int64] = np.count_nonzero(np.atleast_2d(weights), axis=0)
    return counts


def scaled_rows(weights: Weights, factors: Array) -> Weights:
    """Row i times factors[i]."""
    if issparse(weights):
        return replaced(weights, weights.data * np.repeat(factors, np.diff(weights.indptr)))
    return weights * factors if weights.ndim == 1 else weights * factors[:, None]


def best_form(matrix: Any) -> Weights:
    """A matrix (out, in), dense or sparse, in the form that suits it: one to one, dense, or sparse rows."""
    rows, columns = matrix.shape
    sparse = csr_matrix(matrix)
    sparse.eliminate_zeros()
    one_a_row = rows == columns and np.array_equal(sparse.indptr, np.arange(rows + 1))
    if one_a_row and np.array_equal(sparse.indices, np.arange(rows)):
        diagonal: Array = sparse.diagonal()
        return diagonal
    if rows * columns <= SMALL or sparse.nnz >= SPARSE_BELOW * rows * columns:
        return sparse.toarray()
    sparse.sort_indices()
    return sparse
