"""Integer synapses as the chip has them: what weights are stored, and what they deliver."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuroprompt.spiking.program import Projection
from neuroprompt.spiking.weights import Weights, as_rows

Array = NDArray[Any]

EXACT = 2**24
"""Below it float32 holds every whole number."""
LINES = 2**16
"""Below so many lines sums of 8-bit weights stay below EXACT."""
Product = Callable[[Array], Array]
"""W s of spikes (N, in), whole numbers (N, out)."""
FEW: dict[Any, float] = {np.int16: 0.12, np.int32: 0.05}
"""Share of spikes below which adding the rows that they meet beats a matrix product (2048 x 2048), by their type."""
NEAR_BYTES = 2**20
"""Of what goes through sparse weights at a time."""
NEAR, FEW_NEAR = 2**18, 0.2
"""Weights in 16 bits that stay near the processor, and that share for them (784 x 128)."""


def stored_weights(weights: Array) -> NDArray[np.int32]:
    """The weights as the chip stores them.

    All >= 0: clipped to 0..255. All <= 0: clipped to -255..0. Mixed: clipped to -256..255, lowest bit dropped.
    """
    w = weights.astype(np.int32)
    least, most = w.min(), w.max()
    mixed = least < 0 < most
    low, high = (-256, 255) if mixed else (0, 255) if least >= 0 else (-255, 0)
    if least < low or most > high:
        w = np.clip(w, low, high)
    if mixed:
        w &= ~1
    return w


def stored(weights: Weights) -> Weights:
    """`stored_weights` of any form."""
    return weights.with_values(stored_weights(weights.values))


def arriving_fixed(projection: Projection, sent: Array, product: Product | None = None) -> Array:
    """What a fixed projection delivers of `sent` (..., in): W x, shifted by its exponent, (..., out).

    They are whole numbers, of whatever type they are fastest in. Spikes through a dense matrix go through one that was
    made ready before, or through `product` where there is one.
    """
    weights, rows = projection.weights, as_rows(sent)
    if sent.dtype == bool and product is not None:
        sums = product(rows)
    elif sent.dtype == bool and weights.is_dense and weights.shape[1] < LINES:
        sums = _of_spikes(weights, rows)
    else:
        sums = _sums(weights.cached(stored), rows)
    return shifted(sums, projection.exponent).reshape(*sent.shape[:-1], weights.shape[0])


def _of_spikes(weights: Weights, sent: Array) -> Array:
    """W s in the fastest form that is exact: rows that spikes meet are added, or a matrix product in float32.

    The narrower the rows the more of them can be added in that time: in 16 bits while no step can leave them. Tried
    without gain: rows added by a thread a core (they wait for those of the matrix product).
    """
    share = np.count_nonzero(sent) / max(1, sent.size)
    small = weights.raw.size <= NEAR
    if share < (FEW_NEAR if small else FEW[np.int16]):
        rows = sparse_rows(sent, np.int16)
        most = weights.cached(_largest) * int(np.diff(rows.indptr).max(initial=0))
        kind = np.int16 if min(most, weights.cached(largest_sum)) < 2**15 else np.int32
        if kind is np.int16 or share < FEW[kind]:
            return np.asarray(rows @ weights.cached(TURNED[kind]))
    product: Array = sent.astype(np.float32) @ weights.cached(TURNED[np.float32])
    return product


def largest_sum(weights: Weights) -> int:
    """The largest magnitude that any spikes can add up to, whichever they are."""
    sizes = weights.with_values(np.abs(stored_weights(weights.values)).astype(np.int64)).raw
    return int(np.asarray(sizes if weights.is_one_to_one else sizes.sum(axis=1)).max(initial=0))


def sparse_rows(spikes: Array, kind: type[np.number[Any]]) -> csr_matrix:
    """Spikes (N, in) as sparse rows of ones; several times faster than scipy's way, which goes through pairs."""
    lines = spikes.shape[1]
    there = np.flatnonzero(spikes.reshape(-1))
    starts = np.searchsorted(there, np.arange(len(spikes) + 1) * lines).astype(np.int32)
    columns = (there - np.repeat(np.arange(len(spikes)) * lines, np.diff(starts))).astype(np.int32)
    return csr_matrix((np.ones(len(there), kind), columns, starts), shape=spikes.shape)


def _largest(weights: Weights) -> int:
    return int(np.abs(stored_weights(weights.values)).max(initial=0))


def _turned(kind: type[np.number[Any]], weights: Weights) -> Array:
    """The stored weights as (in, out): making them takes longer than a hundred steps of few spikes."""
    return np.ascontiguousarray(stored_weights(weights.raw).T, kind)


TURNED = {kind: partial(_turned, kind) for kind in (np.int16, np.int32, np.float32)}


def stepwise_fixed(projection: Projection) -> Callable[[Array], Array]:
    """`arriving_fixed` of one step, spikes (..., in) -> (..., out), with the weights made ready once for many steps.

    Of a single run and a dense matrix the columns that spikes meet are added, and no others are touched.
    """
    if not projection.weights.is_dense:
        return partial(arriving_fixed, projection)
    turned = projection.weights.cached(TURNED[np.int32])

    def delivered(spikes: Array) -> Array:
        if spikes.ndim > 1:
            return arriving_fixed(projection, spikes)
        return shifted(turned[spikes].sum(axis=0, dtype=np.int64), projection.exponent)

    return delivered


def shifted(sums: Array, exponent: int) -> Array:
    """Sums of weights times 2^exponent; below 0 the lowest bits are lost, rounded down, as Lava's weight_exp does."""
    if exponent == 0:
        return sums
    if sums.dtype.kind == "f":  # whole numbers, which a power of two leaves exact
        scaled: Array = sums * sums.dtype.type(2.0**exponent)
        return scaled if exponent > 0 else np.asarray(np.floor(scaled))
    whole = sums.astype(np.int64)
    return whole << exponent if exponent > 0 else whole >> -exponent


def weighted_sums(weights: Weights, sent: Array) -> NDArray[np.int64]:
    """W x for every step of integers or spikes (T, in), as integers (T, out)."""
    return _sums(weights, sent).astype(np.int64)


def _sums(weights: Weights, sent: Array) -> Array:
    """W x for every row of integers or spikes (N, in), whole numbers in floating point.

    Products and sums of integers are exact in floating point below 2^53 (2^24 in float32), and much faster there. Tried
    for few spikes, without gain: the matrix turned in blocks, adding `weights[:, active]` (columns lie far apart).
    """
    raw = weights.raw
    if weights.is_one_to_one:
        return np.asarray(np.multiply(raw, sent, dtype=np.float64))
    if weights.is_sparse:
        kinds = weights.cached(_narrow) if sent.dtype == bool else np.float64
        matrix = weights.cached(SPARSE[kinds])
        many = max(1, NEAR_BYTES // (np.dtype(kinds).itemsize * max(1, sent.shape[1])))
        sums = np.empty((len(sent), weights.shape[0]), kinds)
        for i in range(0, len(sent), many):  # columns that stay near the processor
            sums[i : i + many] = (matrix @ np.ascontiguousarray(sent[i : i + many].T).astype(kinds)).T
        return sums
    kind = np.float32 if sent.dtype == bool and weights.shape[1] < LINES else np.float64
    return np.asarray(sent.astype(kind) @ raw.T.astype(kind))


def _narrow(weights: Weights) -> Any:
    """The narrowest type that holds whatever spikes add up to: integers of 16 bits, or float64."""
    totals = np.asarray(abs(weights.raw).sum(axis=1), np.float64)
    return np.int16 if totals.max(initial=0) < 2**15 else np.float64


def _as_kind(kind: Any, weights: Weights) -> Any:
    return weights.raw.astype(kind)


SPARSE = {kind: partial(_as_kind, kind) for kind in (np.int16, np.float64)}
