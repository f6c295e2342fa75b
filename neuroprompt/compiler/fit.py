"""Fit: one population in Loihi's integers at a scale, and how much of what its float twin did it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neuroprompt.compiler.lists import PLAIN, Lists, Precision, integer_lists
from neuroprompt.errors import OutOfRange, Unsupported
from neuroprompt.loihi.arithmetic import DECAY_ONE, MANTISSA, SHIFT, SUM_END, VTH_MAX, Array
from neuroprompt.loihi.neurons import FixedNeurons, Trace
from neuroprompt.loihi.ranges import check_range
from neuroprompt.loihi.synapses import shifted, stepwise_fixed, stored_weights, weighted_sums
from neuroprompt.spiking.program import Population, Program, Projection

NO_MEMORY = DECAY_ONE - 1
"""du of a current without memory."""


@dataclass(frozen=True)
class Task:
    """A population to fit: its inputs, and what it must do.

    `arriving[i]` (T, in) is what projection i delivers, already `lag` steps late; the population's own spikes are None
    there, and are fed back as it makes them. `input_scale`: of numbers that the input lines carry, else 0. `wanted` is
    the float twin's trace. T may be those of several `runs` of equal length, one after the other, each from rest.
    """

    population: Population
    incoming: tuple[Projection, ...]
    arriving: tuple[Array | None, ...]
    wanted: Trace
    input_scale: float = 0.0
    runs: int = 1

    @property
    def steps(self) -> int:
        """Time steps of one run."""
        return len(self.wanted.spikes) // self.runs

    def carries_numbers(self, projection: Projection) -> bool:
        """Whether what a projection delivers are numbers, not spikes."""
        return projection.source == "input" and self.input_scale > 0

    def sent(self, projection: Projection, arriving: Array) -> Array:
        """What the lines of a projection carry on the chip."""
        return np.rint(arriving * self.input_scale) if self.carries_numbers(projection) else arriving

    def factor(self, projection: Projection, scale: float) -> float:
        """Integer weights per unit of weight: the scale, over that of numbers on the lines."""
        return scale / self.input_scale if self.carries_numbers(projection) else scale


@dataclass(frozen=True)
class Fitted:
    """One population in integers, its projections as lists, what it did on the calibration inputs, and its scale.

    `match` is its share of (step, neuron) entries as in float; of one that never fires, 1 less its largest error.
    """

    population: Population
    lists: tuple[Lists, ...]
    trace: Trace
    scale: float
    match: float
    changed: int

    @property
    def projections(self) -> tuple[Projection, ...]:
        """All lists of synapses."""
        return tuple(q for lists in self.lists for q in lists.projections)


def integer_decays(population: Population) -> Population:
    """du and dv in 4096ths; raises Unsupported, naming the node, for one that would become none at all.

    The chip's largest dv is 4095, so that tau = 1 step keeps 1/4096 of v; du = 4095 keeps nothing of u.
    """
    decays: dict[str, Any] = {}
    for key, what in (("du", "synaptic"), ("dv", "membrane")):
        exact = np.asarray(getattr(population, key), np.float64)
        whole = np.rint(exact * DECAY_ONE)
        if np.any((exact > 0) & (whole < 1)):
            tau = 1 / exact[(exact > 0) & (whole < 1)].flat[0]
            got = f"node {population.name!r} has a {what} time constant of {tau:.0f} steps, too slow for 12 bits"
            raise Unsupported(got, f"at most {2 * DECAY_ONE} steps", "a shorter tau, a longer dt, or none (IF)")
        if key == "du":
            if np.any(whole < 1):
                got = f"node {population.name!r} has a synaptic current that never decays"
                raise Unsupported(got, "du of at least 1 / 4096", "a finite tau_syn")
            whole = whole - 1
        whole = np.minimum(whole, DECAY_ONE - 1).astype(np.int64)
        decays[key] = int(whole) if whole.ndim == 0 else whole
    return replace(population, **decays)


def one_threshold(task: Task) -> Task:
    """The task with one threshold for all neurons, which is what the chip has: row i of what arrives times max/thr_i.

    A neuron whose weights, bias and threshold have one common factor fires alike. Raises Unsupported, naming the node,
    where some thresholds are 0 and others are not.
    """
    p = task.population
    if np.ndim(p.vth) == 0:
        return task
    vth = np.asarray(p.vth)
    if np.any(vth <= 0):
        got = f"node {p.name!r} has v_threshold from {vth.min():g} to {vth.max():g}"
        raise Unsupported(got, "one value, or values above 0: the chip has one for a population", "split the node")
    rows = float(vth.max()) / vth
    currents = tuple((onset, values * rows) for onset, values in p.currents)
    scaled = replace(p, vth=float(vth.max()), bias=p.bias * rows, currents=currents)
    incoming = tuple(replace(q, weights=q.weights.scaled_rows(rows)) for q in task.incoming)
    wanted = replace(task.wanted, u=task.wanted.u * rows, v=task.wanted.v * rows)
    return replace(task, population=scaled, incoming=incoming, wanted=wanted)


def at_scale(
    task: Task,
    scale: float,
    *,
    clip: bool = True,
    of_spikes: Precision = PLAIN,
    of_numbers: Precision = PLAIN,
) -> Fitted:
    """The population at a scale: weights = round(w s), even where signs are mixed; thresholds and biases alike.

    Where nothing may be clipped, what does not fit raises OutOfRange.
    """
    lists = tuple(
        integer_lists(
            q,
            task.factor(q, scale),
            of_numbers if task.carries_numbers(q) else of_spikes,
            keep_odd=not clip,
        )
        for q in task.incoming
    )
    return with_lists(task, scale, lists, clip=clip)


def with_lists(task: Task, scale: float, lists: tuple[Lists, ...], *, clip: bool = True) -> Fitted:
    """The population at a scale behind these lists of synapses, as `at_scale`."""
    p = task.population
    bias = np.rint(p.bias * scale)
    currents = tuple((onset, np.rint(values * scale).astype(np.int64)) for onset, values in p.currents)
    if task.input_scale and p.depth and np.abs(bias).max(initial=0) > MANTISSA[1]:
        # The host delivers a bias behind a projection, with the currents, which have more bits.
        currents, bias = _with_current(currents, bias), np.zeros_like(bias)
    vth = min(round(float(p.vth) * scale), 2**62) if np.isfinite(p.vth) else VTH_MAX
    fixed = replace(integer_decays(p), bias=bias, bias_exp=SHIFT, vth=vth, currents=currents)
    if p.emits == "v":
        fixed = replace(fixed, unit=scale * 2**SHIFT)
    if not clip:
        _refuse(fixed, task.incoming, lists)
    fixed = replace(fixed, bias=np.clip(bias, *MANTISSA).astype(np.int32))
    changed = sum(each.changed for each in lists) + int((fixed.bias != bias).sum())
    run = runner(task, lists)
    if p.emits == "v":
        trace = run(fixed)
        return Fitted(fixed, lists, trace, scale, _closeness(fixed, trace, task.wanted), changed)
    fixed, trace, match = best_threshold(fixed, float(p.vth) * scale, run, task.wanted.spikes)
    return Fitted(fixed, lists, trace, scale, match, changed)


def _with_current(currents: tuple[tuple[int, Array], ...], bias: Array) -> tuple[tuple[int, Array], ...]:
    by_onset = dict(currents)
    by_onset[0] = by_onset.get(0, 0) + bias.astype(np.int64)
    return tuple(sorted(by_onset.items()))


def runner(task: Task, lists: tuple[Lists, ...]) -> Callable[[Population], Trace]:
    """What a population does behind these lists, its own spikes fed back where they reach it."""
    known = np.zeros(task.wanted.spikes.shape, np.int64)
    own: list[tuple[int, Callable[[Array], Array]]] = []
    for q, x, each in zip(task.incoming, task.arriving, lists, strict=True):
        for part in each.projections:
            if x is None:
                own.append((part.lag, stepwise_fixed(part)))
            else:
                known += shifted(weighted_sums(part.weights, task.sent(q, x)), part.exponent)

    def run(population: Population) -> Trace:
        a: Array = known.copy()
        if task.runs > 1:
            a = a.reshape(task.runs, task.steps, -1)
        for onset, values in population.currents:
            a[..., onset:, :] += values
        neurons = FixedNeurons(population, task.steps, a.shape[:-2])
        with np.errstate(invalid="ignore"):  # a scale far beyond the range is tried, too, and not taken
            for t in range(task.steps):
                for lag, fed_back in own:
                    if t >= lag:
                        a[..., t, :] += fed_back(neurons.spikes[..., t - lag, :]).astype(np.int64)
                neurons.step(t, a[..., t, :])
        sums = a + population.bias if population.depth else a
        beyond = int(np.count_nonzero((sums >= SUM_END) | (sums < -SUM_END)))
        return replace(one_after_another(neurons.trace()), beyond=beyond)

    return run


def one_after_another(trace: Trace) -> Trace:
    """The runs of a batch as the steps of one, (B T, n), with all their overflows; of a single run itself."""
    if trace.spikes.ndim == 2:
        return trace
    spikes, u, v = (values.reshape(-1, values.shape[-1]) for values in (trace.spikes, trace.u, trace.v))
    return Trace(spikes, u, v, int(np.sum(trace.wrapped)), int(np.sum(trace.clipped)))


def best_threshold(
    fixed: Population, exact: float, run: Callable[[Population], Trace], spikes: Array
) -> tuple[Population, Trace, float]:
    """The population with the better of two thresholds, what it does, and its share of entries as in `spikes`.

    A sum of integers is above a threshold exactly where it is above its whole part, so both roundings are candidates.
    """
    tried = []
    for vth in sorted({round(exact), int(np.floor(exact))}):
        option = replace(fixed, vth=min(vth, VTH_MAX))
        trace = run(option)
        tried.append((option, trace, float((trace.spikes == spikes).mean())))
    return max(tried, key=lambda option: option[2])


def matched(task: Task, fitted: Fitted) -> Fitted:
    """With the `match` of what it did."""
    if task.population.emits == "v":
        return replace(fitted, match=_closeness(fitted.population, fitted.trace, task.wanted))
    return replace(fitted, match=float((fitted.trace.spikes == task.wanted.spikes).mean()))


def _closeness(fixed: Population, trace: Trace, wanted: Trace) -> float:
    """Of a population that never fires: 1 less the largest error over the largest value, and 0 where it overflowed."""
    if trace.wrapped or trace.clipped or trace.spikes.any():
        return 0.0
    error = float(np.abs(trace.v / fixed.unit - wanted.v).max(initial=0))
    return max(0.0, 1 - error / max(float(np.abs(wanted.v).max(initial=0)), 1e-300))


def _refuse(population: Population, incoming: tuple[Projection, ...], lists: tuple[Lists, ...]) -> None:
    """Raise OutOfRange where values at a scale of the user's do not fit, or leave no weight at all."""
    projections = tuple(
        replace(q, weights=q.weights.with_values(each.whole), exponent=each.projections[-1].exponent)
        for q, each in zip(incoming, lists, strict=True)
        if len(each.projections) == 1
    )
    check_range(Program("fixed", 1, 1, (population,), projections))
    for q, each in zip(incoming, lists, strict=True):
        if not any(stored_weights(part.weights.values).any() for part in each.projections):
            got = f"every weight from {q.source!r} to {q.target!r} becomes 0"
            raise OutOfRange(got, "weights of 1 or more at this scale", "choose a larger scale")
