"""Integer synapses as the chip has them: what weights are stored, and what they deliver."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuroprompt.program import Projection
from neuroprompt.synapses import Weights, numbers, replaced

Array = NDArray[Any]

LINES = 2**16
"""Below so many lines sums of 8-bit weights stay below 2^24, where float32 is exact."""
FEW = 0.05
"""Share of spikes below which adding the rows that they meet beats a matrix product (2048 x 2048, one core)."""


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
    return replaced(weights, stored_weights(numbers(weights)))


def arriving_fixed(projection: Projection, sent: Array) -> NDArray[np.int64]:
    """What a fixed projection delivers of `sent` (T, in): (W x) << exponent, (T, out).

    Spikes through a dense matrix go through one that was made ready before.
    """
    weights = projection.weights
    if sent.dtype == bool and isinstance(weights, np.ndarray) and weights.ndim == 2 and weights.shape[1] < LINES:
        ready = _ready(weights)
        few = np.count_nonzero(sent) < FEW * sent.size
        spikes = csr_matrix(sent, dtype=np.float32) if few else sent.astype(np.float32)
        summed: NDArray[Any] = np.asarray(spikes @ ready)
        return summed.astype(np.int64) << projection.exponent
    return drive_fixed(stored(weights), sent) << projection.exponent


_READY: dict[int, tuple[weakref.ref[Array], Array]] = {}


def _ready(weights: Array) -> Array:
    """The stored weights turned to (in, out), in float32, in which their sums are exact; kept as long as `weights` is.

    Making them takes longer than a hundred steps of few spikes. A matrix that has one can no longer be written to.
    """
    key = id(weights)
    if key not in _READY:
        turned = np.ascontiguousarray(stored_weights(weights).T, np.float32)
        weights.flags.writeable = False
        _READY[key] = weakref.ref(weights, lambda _: _READY.pop(key, None)), turned
    return _READY[key][1]


def stepwise_fixed(projection: Projection) -> Callable[[Array], Array]:
    """`arriving_fixed` of one step, spikes (in,) -> (out,), with the weights made ready once for many steps.

    Of a dense matrix the columns that spikes meet are added, and no others are touched.
    """
    weights = stored(projection.weights)
    if isinstance(weights, np.ndarray) and weights.ndim == 2:
        turned = np.ascontiguousarray(weights.T)
        return lambda spikes: turned[spikes].sum(axis=0, dtype=np.int64) << projection.exponent
    return lambda spikes: drive_fixed(weights, spikes[None])[0] << projection.exponent


def drive_fixed(weights: Weights, spikes: Array) -> NDArray[np.int64]:
    """W s for every step, (T, out), or w x one to one.

    Products and sums of integers are exact in floating point below 2^53 (2^24 in float32), and much faster there. Tried
    for few spikes, without gain: the matrix turned in blocks, adding `weights[:, active]` (columns lie far apart).
    """
    if not isinstance(weights, np.ndarray):
        columns = np.asarray(weights.astype(np.float64) @ spikes.T.astype(np.float64))
        found: NDArray[np.int64] = columns.T.astype(np.int64)
        return found
    if weights.ndim == 1:
        return weights.astype(np.int64) * spikes.astype(np.int64)
    kind = np.float32 if spikes.dtype == bool and weights.shape[1] < LINES else np.float64
    whole: NDArray[Any] = spikes.astype(kind) @ weights.T.astype(kind)
    return whole.astype(np.int64)
