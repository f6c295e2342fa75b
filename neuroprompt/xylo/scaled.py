"""Scaled: one population in Xylo's integers at a scale, which scales those hold, and what it does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import vstack

from neuroprompt.loihi.neurons import Trace as FloatTrace
from neuroprompt.spiking.program import Population, Projection
from neuroprompt.spiking.weights import Weights
from neuroprompt.xylo.arithmetic import MOST, Array, Neurons, Synapses, Trace, trace_of
from neuroprompt.xylo.mapping import dashes

WEIGHT = 127
"""The largest weight, and bias: 8 bits with a sign, as Rockpool's quantisation has them."""
PER_OCTAVE, OCTAVES = 8, 2
"""Scales that are tried below the largest, beside powers of two, at which weights may be exact."""
EXACT = 6
"""Octaves at shift 0."""


@dataclass(frozen=True)
class Fitted:
    """One population in integers, with its projections, each neuron's scale, what it did, and how much as in float.

    `match` is the Jaccard index of the spikes; of a population that never fires 1 less its largest error over the
    largest value.
    """

    population: Population
    projections: tuple[Projection, ...]
    scale: Array
    trace: Trace
    match: float


def scales(p: Population, into: Sequence[Projection], shift: int) -> Array:
    """Those that 8-bit weights, shifted left by `shift`, thresholds and biases hold: rows (C, n), the largest first.

    Of a population that never fires all neurons have the same, since its values have one unit.
    """
    gains = _gains(p, into)
    heaviest = np.zeros(p.size)
    for q in into:
        rows = abs(q.weights.scaled_rows(gains).rows())
        heaviest = np.maximum(heaviest, rows.max(axis=1).toarray().reshape(-1))
    vth = np.broadcast_to(np.asarray(p.vth if p.emits == "spikes" else 0.0, np.float64), p.size)
    full = np.full(p.size, np.inf)
    for end, values in ((WEIGHT << shift, heaviest), (WEIGHT, np.abs(p.bias)), (MOST - 1, vth)):
        full = np.minimum(full, np.where(values > 0, end / np.where(values > 0, values, 1), np.inf))
    full = np.where(np.isfinite(full), full, 1.0)
    full = full if p.emits == "spikes" else np.full(p.size, full.min())
    octaves = EXACT if shift == 0 else OCTAVES
    twos = 2.0 ** (np.floor(np.log2(full)) - np.arange(octaves)[:, None])
    return np.concatenate([full * 2.0 ** (-np.arange(octaves * PER_OCTAVE)[:, None] / PER_OCTAVE), twos])


def at_scale(
    p: Population, into: Sequence[Projection], scale: Array, above: Array, shift: int
) -> tuple[Population, tuple[Projection, ...]]:
    """A population and its projections in integers, each neuron at its scale (n,).

    Thresholds are rounded, or, where `above` (n,), the next whole numbers above them.
    """
    vth: Any = MOST
    if p.emits == "spikes":
        exact = np.asarray(p.vth, np.float64) * scale
        vth = np.maximum(np.where(above, np.floor(exact) + 1, np.rint(exact)), 1).astype(np.int64)
    rows = [q.weights.scaled_rows(_gains(p, into) * scale / 2**shift) for q in into]
    projections = (
        replace(q, weights=each.with_values(np.rint(each.values).astype(np.int32)), exponent=shift)
        for q, each in zip(into, rows, strict=True)
    )
    population = replace(
        p,
        du=_plain(_dash_syn(p, into)),
        dv=_plain(dashes(p.dv)),
        vth=vth,
        bias=np.rint(p.bias * scale).astype(np.int32),
        unit=1.0 if p.emits == "spikes" else float(scale[0]),
        reset="subtract",
    )
    return population, tuple(projections)


def run(
    population: Population,
    projections: Sequence[Projection],
    arriving: Sequence[Array | None],
    shape: tuple[int, ...],
    most: int,
) -> Trace:
    """What a population does in integers, (R, T, n) = `shape`; a neuron fires at most `most` times in a step.

    Its own spikes, where None arrives, come a step later.
    """
    neurons = Neurons(population, shape[0], most)
    lines = [(Synapses(q), x) for q, x in zip(projections, arriving, strict=True)]
    rows, own = [], np.zeros((shape[0], population.size), np.int64)
    for step in range(shape[1]):
        own = neurons.step([(synapses, own if x is None else x[:, step]) for synapses, x in lines])
        rows.append((own, neurons.i, neurons.v))
    return trace_of(rows)


def side_by_side(
    parts: Sequence[tuple[Population, tuple[Projection, ...]]],
) -> tuple[Population, tuple[Projection, ...]]:
    """The same population at several scales as one, which hears the same lines."""
    first, synapses = parts[0]
    numbers: dict[str, Any] = {
        key: np.concatenate([np.broadcast_to(getattr(p, key), p.size) for p, _ in parts])
        for key in ("du", "dv", "vth", "bias")
    }
    projections = (
        replace(q, weights=Weights(vstack([of[k].weights.rows() for _, of in parts]))) for k, q in enumerate(synapses)
    )
    return replace(first, size=first.size * len(parts), **numbers), tuple(projections)


def match(p: Population, trace: Trace, wanted: FloatTrace) -> float:
    """How much a population in integers does as its float twin, as `Fitted` has it; 1 less where one fires twice."""
    if p.emits == "spikes":
        right = wanted.spikes & (trace.counts == 1)
        either = int((wanted.spikes | (trace.counts > 0)).sum())
        several = bool((trace.counts > 1).any())
        return (int(right.sum()) / either if either else 1.0) - several
    largest = float(np.abs(wanted.v).max(initial=0))
    error = float(np.abs(trace.v / p.unit - wanted.v).max(initial=0)) + float(trace.counts.sum())
    return 1 - (error / largest if largest else error)


def of_each(trace: Trace, wanted: FloatTrace) -> Array:
    """How well each neuron fires, (n,): the Jaccard index first, then how near the number of its spikes is.

    1 less where it fires several times in a step. With a threshold of 2^14 or more v saturates before it could.
    """
    right, axes = wanted.spikes & (trace.counts == 1), (0, 1)
    either = (wanted.spikes | (trace.counts > 0)).sum(axis=axes)
    off = np.abs(trace.counts.sum(axis=axes) - wanted.spikes.sum(axis=axes))
    index: Array = np.where(either > 0, right.sum(axis=axes) / np.maximum(either, 1), 1.0)
    worth: Array = index - 1e-9 * off - (trace.counts > 1).any(axis=axes)
    return worth


def _dash_syn(p: Population, into: Sequence[Projection]) -> Any:
    """The shifts of the synaptic current; 1 where nothing arrives."""
    return dashes(p.du) if into else np.int64(1)


def _gains(p: Population, into: Sequence[Projection]) -> Array:
    """What weights grow by, row by row: i has decayed once when it reaches v."""
    return np.ones(p.size) / (1 - 2.0 ** -np.asarray(_dash_syn(p, into), np.float64))


def _plain(values: Any) -> Any:
    array = np.asarray(values)
    return int(array) if array.ndim == 0 else array.astype(np.int64)
