"""The weights of a projection in their three forms: one to one, dense, and sparse rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

Array = NDArray[Any]
T = TypeVar("T")

SPARSE_BELOW = 0.25
"""Share of weights that are not zero below which a matrix is kept as sparse rows."""
SMALL = 4096
"""Matrices of at most so many weights stay dense: nothing is gained."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A matrix W (out, in) that never changes, in one of three forms.

    `raw` is a read-only copy of what the constructor takes: an array (n,), where neuron i has line i alone; an array
    (out, in); or a scipy sparse matrix (out, in), kept as csr rows. Raises ValueError for other shapes.
    """

    raw: Any
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        raw: Any = csr_matrix(self.raw, copy=True) if issparse(self.raw) else np.array(self.raw)
        if raw.ndim not in (1, 2):
            raise ValueError(f"weights of shape {raw.shape}; expected (n,) or (out, in)")
        if issparse(raw):
            raw.sum_duplicates()  # it sorts, too, which scipy would do later and in place
        for part in (raw.data, raw.indices, raw.indptr) if issparse(raw) else (raw,):
            part.flags.writeable = False
        object.__setattr__(self, "raw", raw)

    @classmethod
    def best(cls, matrix: Any) -> Weights:
        """A matrix (out, in), dense or sparse, in the form that suits it."""
        rows, columns = matrix.shape
        sparse = csr_matrix(matrix)
        sparse.eliminate_zeros()
        one_a_row = rows == columns and np.array_equal(sparse.indptr, np.arange(rows + 1))
        if one_a_row and np.array_equal(sparse.indices, np.arange(rows)):
            return cls(sparse.diagonal())
        if rows * columns <= SMALL or sparse.nnz >= SPARSE_BELOW * rows * columns:
            return cls(sparse.toarray())
        return cls(sparse)

    @property
    def is_one_to_one(self) -> bool:
        """Whether neuron i has line i alone."""
        return bool(self.raw.ndim == 1)

    @property
    def is_sparse(self) -> bool:
        """Whether they are sparse rows."""
        return bool(issparse(self.raw))

    @property
    def is_dense(self) -> bool:
        """Whether they are an array (out, in)."""
        return not self.is_sparse and not self.is_one_to_one

    @property
    def form(self) -> str:
        """The form in words."""
        return "one to one" if self.is_one_to_one else "sparse" if self.is_sparse else "dense"

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in), of one to one weights too."""
        rows, columns = self.raw.shape[0], self.raw.shape[-1]
        return int(rows), int(columns)

    @property
    def values(self) -> Array:
        """All stored weights as one array; of sparse rows those that are there."""
        return cast(Array, self.raw.data if self.is_sparse else self.raw)

    def with_values(self, values: Array) -> Weights:
        """The same form with other numbers, in the order of `values`; zeros of sparse rows stay stored."""
        if self.is_sparse:
            return Weights(csr_matrix((values, self.raw.indices, self.raw.indptr), shape=self.raw.shape))
        return Weights(values)

    def scaled_rows(self, factors: Array) -> Weights:
        """Row i times factors[i]."""
        if self.is_sparse:
            return self.with_values(self.raw.data * np.repeat(factors, np.diff(self.raw.indptr)))
        return Weights(self.raw * (factors if self.is_one_to_one else factors[:, None]))

    def apply(self, x: Array) -> Array:
        """W x for every row of x (..., in) -> (..., out)."""
        if self.is_one_to_one:
            return cast(Array, self.raw * x)
        rows = as_rows(x)
        sums = np.asarray((self.raw @ rows.T).T) if self.is_sparse else rows @ self.raw.T
        return cast(Array, sums.reshape(*x.shape[:-1], len(sums.T)))

    def rows(self) -> Any:
        """W as a new csr_matrix (out, in)."""
        if not self.is_one_to_one:
            return csr_matrix(self.raw, copy=True)
        count = len(self.raw)
        return csr_matrix((self.raw.copy(), np.arange(count), np.arange(count + 1)), shape=self.shape)

    def nonzero(self) -> Any:
        """W as a new csr_matrix (out, in) that stores no zero."""
        rows = self.rows()
        rows.eliminate_zeros()
        return rows

    def dense(self) -> Array:
        """W as a new array (out, in)."""
        return (
            np.diag(self.raw)
            if self.is_one_to_one
            else cast(Array, self.raw.toarray() if self.is_sparse else +self.raw)
        )

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """For every source line the number of weights that are not 0, (in,)."""
        if self.is_sparse:
            there = self.raw.indices[self.raw.data != 0]
            return np.bincount(there, minlength=self.shape[1])
        return np.asarray(np.count_nonzero(np.atleast_2d(self.raw), axis=0))

    def cached(self, make: Callable[[Weights], T]) -> T:
        """make(self), made once and kept as long as these weights are: it can cost more than a run of few spikes."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast(T, self._made[make])


def as_rows(x: Array) -> Array:
    """(..., n) as rows (N, n)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
