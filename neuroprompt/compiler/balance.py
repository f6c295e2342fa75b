"""Balance: weights rounded so that their errors cancel in what a neuron gets on average, not each to the nearest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroprompt.loihi.arithmetic import Array
from neuroprompt.spiking.weights import Weights


def balanced(
    exact: Weights, step: int, rates: Array, spans: Array, shift: Array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multiples of `step` for the weights `exact` (out, in), in the order of their values; and what is left, (out,).

    Line j fires with rate r_j, and neuron i adds up what arrives over spans_i steps, in which an error d_ij of its
    weights becomes, where lines fire independently of each other, one of mean square

        spans_i (spans_i m_i^2 + sum_j r_j d_ij^2),   m_i = shift_i + sum_j r_j d_ij

    Rounding to the nearest makes the second part smallest. Then weights near to the middle are rounded the other way,
    the nearest to it first, as long as that makes the whole smaller. `shift` (out,) is what is left of others, and the
    result's m is what these leave.

    Nagel et al., Up or Down? Adaptive Rounding for Post-Training Quantization, ICML 2020, equations 9 to 13, have the
    same aim for a general second moment; here it is that of independent spikes.
    """
    rows = exact.rows()
    scaled = rows.data / step
    nearest = np.rint(scaled)
    errors = nearest - scaled
    neuron = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    rate = rates[rows.indices]
    mean = shift / step + np.bincount(neuron, rate * errors, rows.shape[0])
    flipped = _flips(errors, rate, neuron, mean, spans)
    turns = np.sign(errors[flipped])
    nearest[flipped] -= turns
    left = mean - np.bincount(neuron[flipped], rate[flipped] * turns, rows.shape[0])
    rows.data = nearest * step
    return (rows.data if exact.is_sparse or exact.is_one_to_one else rows.toarray()), left * step


def _flips(errors: Array, rate: Array, neuron: Array, mean: Array, spans: Array) -> NDArray[np.int64]:
    """Which weights to round the other way: of every neuron the best number of those that bring its mean down."""
    there = np.flatnonzero((errors * mean[neuron] > 0) & (rate > 0))
    further = 1 - 2 * np.abs(errors[there])
    there = there[np.lexsort((further, neuron[there]))]
    owner, further = neuron[there], 1 - 2 * np.abs(errors[there])
    moved, dearer = (_running(values, owner, len(mean)) for values in (rate[there], rate[there] * further))
    gain = spans[owner] * (mean[owner] ** 2 - (np.abs(mean[owner]) - moved) ** 2) - dearer
    most = np.zeros(len(mean))
    np.maximum.at(most, owner, gain)
    last = np.full(len(mean), -1)
    best = (gain > 0) & (gain == most[owner])
    np.maximum.at(last, owner[best], np.flatnonzero(best))
    return there[np.arange(len(there)) <= last[owner]]


def _running(values: Array, owner: Array, count: int) -> NDArray[np.float64]:
    """The running sums of the values of every owner, which lie side by side."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    result: NDArray[np.float64] = sums[1:] - sums[np.searchsorted(owner, np.arange(count))][owner]
    return result
