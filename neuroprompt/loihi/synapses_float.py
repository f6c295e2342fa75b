"""Float synapses as Lava has them: what a projection delivers, for single runs and batches alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.loihi.synapses import sparse_rows
from neuroprompt.spiking.program import is_spikes
from neuroprompt.spiking.weights import Weights, as_rows

Array = NDArray[Any]


def weighted_sums_float(weights: Weights, sent: Array) -> Array:
    """What Lava's float Dense delivers of `sent` (..., in): the sum of active columns, or W x of a run with numbers.

    One to one: w x. Sparse rows: W x, as Lava's Sparse. A run is (T, in), or a step (in,); of a batch each is its own,
    so that it adds up the same numbers in the same order as alone.
    """
    if not weights.is_dense:
        return weights.apply(sent.astype(np.float64))
    if sent.dtype == bool or is_spikes(sent):
        sums = _active_columns(weights, as_rows(sent).astype(bool))
    elif sent.ndim > 2:
        sums = np.stack([weighted_sums_float(weights, run) for run in sent])
    else:
        sums = np.stack([weights.raw.dot(x) for x in as_rows(sent)])
    return sums.reshape(*sent.shape[:-1], weights.shape[0])


def _active_columns(weights: Weights, spikes: NDArray[np.bool_]) -> Array:
    """`matrix[:, active].sum(axis=1)` for every row of spikes (N, in): numpy adds those columns one after the other.

    So does a product with sparse rows, for all rows at once. A single neuron's sum numpy adds in pairs.
    """
    matrix = weights.raw
    if len(matrix) == 1:
        return np.array([matrix[:, active].sum(axis=1) for active in spikes]).reshape(len(spikes), 1)
    return np.asarray(sparse_rows(spikes, np.float64) @ weights.cached(_columns))


def _columns(weights: Weights) -> Array:
    return np.ascontiguousarray(weights.raw.T, np.float64)
