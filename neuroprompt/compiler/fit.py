"""Fit: one population in Loihi's integers, at a scale that is given or searched, held to what its float twin did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import OutOfRange, Unsupported
from neuroprompt.loihi.arithmetic import DECAY_ONE, MANTISSA, MOST_EXPONENT, SHIFT, VTH_MAX, Array, FixedNeurons, Trace
from neuroprompt.loihi.ranges import check_range
from neuroprompt.loihi.synapses import stepwise_fixed, stored, stored_weights, weighted_sums
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

OCTAVES = 6
"""How far below the largest scale without clipping the search goes; it also tries one octave above."""
PER_OCTAVE = 4
NO_MEMORY = DECAY_ONE - 1
"""du of a current without memory."""


@dataclass(frozen=True)
class Task:
    """A population to fit: its inputs, and what it must do.

    `arriving[i]` (T, in) is what projection i delivers, already `lag` steps late; the population's own spikes are None
    there, and are fed back as it makes them. `input_scale`: of numbers that the input lines carry, else 0. `wanted` is
    the float twin's trace.
    """

    population: Population
    incoming: tuple[Projection, ...]
    arriving: tuple[Array | None, ...]
    wanted: Trace
    input_scale: float = 0.0

    @property
    def steps(self) -> int:
        """Time steps."""
        return len(self.wanted.spikes)

    def factor(self, projection: Projection, scale: float) -> float:
        """Integer weights per unit of weight: the scale, over that of numbers on the lines."""
        graded = projection.source == "input" and self.input_scale
        return scale / self.input_scale if graded else scale


@dataclass(frozen=True)
class Fitted:
    """One population in integers, its projections, what it did on the calibration inputs, and its scale."""

    population: Population
    projections: tuple[Projection, ...]
    trace: Trace
    scale: float
    match: float
    changed: int


def integer_decays(population: Population) -> Population:
    """du and dv in 4096ths; raises Unsupported, naming the node, for one that would become none at all.

    The chip's largest dv is 4095, so that tau = 1 step keeps 1/4096 of v; du = 4095 keeps nothing of u.
    """
    found: dict[str, Any] = {}
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
        found[key] = int(whole) if whole.ndim == 0 else whole
    return replace(population, **found)


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
    return replace(task, population=scaled, incoming=incoming)


def search(task: Task) -> Fitted:
    """The scale, of those within six octaves of the largest that 8-bit weights hold, that fires most like it.

    Above that the sums of weights are shifted by an exponent (threshold and biases get finer then, weights do not); one
    octave above is also tried with clipped weights. Of equal matches the one that changes fewest values wins, then that
    with the smaller exponent, then the larger scale.
    """
    p = task.population
    full = min(
        (254 / (float(np.abs(q.weights.values).max()) * task.factor(q, 1.0)) for q in task.incoming), default=np.inf
    )
    if not task.incoming:
        largest = max(float(np.abs(values).max(initial=0)) for values in (p.bias, *(v for _, v in p.currents)))
        full = MANTISSA[1] / largest if largest else 1.0
    octaves = np.arange(-OCTAVES * PER_OCTAVE, PER_OCTAVE + 1) / PER_OCTAVE
    # Powers of two are tried as well: they hold weights that are whole multiples of one exactly.
    twos = 2.0 ** np.arange(np.floor(np.log2(full)) - OCTAVES, np.floor(np.log2(full)) + 2)
    vth = float(p.vth)
    most = VTH_MAX / vth if 0 < vth < np.inf else np.inf
    scales = sorted({min(float(s), most) for s in (*(full * 2.0**octaves), *twos)})
    shifted = {min(full * 2.0**octave, most) for octave in np.arange(1, OCTAVES + 1)} if task.incoming else ()
    tried = ((s, shift) for shift, some in ((False, scales), (True, sorted(shifted))) for s in some)

    def worth(f: Fitted) -> tuple[float, ...]:
        return f.match, -f.changed, -max((q.exponent for q in f.projections), default=0), f.scale

    return max((at_scale(task, s, shift=shift) for s, shift in tried), key=worth)  # one by one: weights may be large


def at_scale(task: Task, scale: float, *, clip: bool = True, shift: bool = False) -> Fitted:
    """The population at a scale: weights = round(w s), even where signs are mixed; thresholds and biases alike.

    Where nothing may be clipped, what does not fit raises OutOfRange. `shift`: weights too large for 8 bits are divided
    by 2^e, the smallest exponent with which they fit.
    """
    p = task.population
    exponents = [_exponent(q, task.factor(q, scale)) if shift else 0 for q in task.incoming]
    whole = [
        q.weights.with_values(rounded(q.weights.values * task.factor(q, scale) / 2**e, keep_odd=not clip))
        for q, e in zip(task.incoming, exponents, strict=True)
    ]
    bias = np.rint(p.bias * scale)
    currents = tuple((onset, np.rint(values * scale).astype(np.int64)) for onset, values in p.currents)
    vth = min(round(float(p.vth) * scale), 2**62) if np.isfinite(p.vth) else VTH_MAX
    fixed = replace(integer_decays(p), bias=bias, bias_exp=SHIFT, vth=vth, currents=currents)
    if p.emits == "v":
        fixed = replace(fixed, unit=scale * 2**SHIFT)
    if not clip:
        _refuse(fixed, task.incoming, whole)
    weights = tuple(stored(w) for w in whole)
    fixed = replace(fixed, bias=np.clip(bias, *MANTISSA).astype(np.int32))
    changed = sum(int((w.values != r.values).sum()) for w, r in zip(weights, whole, strict=True))
    changed += int((fixed.bias != bias).sum())
    projections = tuple(
        replace(q, weights=w, exponent=e) for q, w, e in zip(task.incoming, weights, exponents, strict=True)
    )
    run = runner(task, projections)
    if p.emits == "v":
        trace = run(fixed)
        return Fitted(fixed, projections, trace, scale, _closeness(fixed, trace, task.wanted), changed)
    fixed, trace, match = best_threshold(fixed, float(p.vth) * scale, run, task.wanted.spikes)
    return Fitted(fixed, projections, trace, scale, match, changed)


def _exponent(projection: Projection, factor: float) -> int:
    heaviest = float(np.abs(projection.weights.values).max(initial=0)) * factor
    return min(max(0, int(np.ceil(np.log2(heaviest / 254) - 1e-9))), MOST_EXPONENT) if heaviest else 0


def runner(task: Task, projections: tuple[Projection, ...]) -> Callable[[Population], Trace]:
    """What a population does behind these fixed projections, its own spikes fed back where they reach it."""
    known = np.zeros(task.wanted.spikes.shape, np.int64)
    own = [(q.lag, stepwise_fixed(q)) for q, x in zip(projections, task.arriving, strict=True) if x is None]
    for q, x in zip(projections, task.arriving, strict=True):
        if x is not None:
            graded = q.source == "input" and task.input_scale
            known += weighted_sums(q.weights, np.rint(x * task.input_scale) if graded else x) << q.exponent

    def run(population: Population) -> Trace:
        a = known.copy()
        for onset, values in population.currents:
            a[onset:] += values
        neurons = FixedNeurons(population, len(a))
        for t, arriving in enumerate(a):
            for lag, fed_back in own:
                if t >= lag:
                    arriving = arriving + fed_back(neurons.spikes[t - lag])  # noqa: PLW2901
            neurons.step(t, arriving)
        return neurons.trace()

    return run


def rounded(exact: NDArray[np.float64], *, keep_odd: bool = False) -> NDArray[np.float64]:
    """Whole numbers, even ones where signs are mixed; whole numbers already stay, so that odd ones can be refused."""
    whole = np.rint(exact)
    if not mixed(exact) or (keep_odd and np.array_equal(whole, exact)):
        return whole
    return 2 * np.rint(exact / 2)


def mixed(weights: Array) -> bool:
    """Whether some weights are below and some above 0."""
    return bool(weights.min() < 0 < weights.max())


def best_threshold(
    fixed: Population, exact: float, run: Callable[[Population], Trace], spikes: Array
) -> tuple[Population, Trace, float]:
    """The population with the better of two thresholds, what it does, and its share of steps as in `spikes`.

    A sum of integers is above a threshold exactly where it is above its whole part, so both roundings are candidates.
    """
    found = []
    for vth in sorted({round(exact), int(np.floor(exact))}):
        option = replace(fixed, vth=min(vth, VTH_MAX))
        trace = run(option)
        found.append((option, trace, float((trace.spikes == spikes).mean())))
    return max(found, key=lambda f: f[2])


def _closeness(fixed: Population, trace: Trace, wanted: Trace) -> float:
    """Of a population that never fires: 1 less the largest error over the largest value, and 0 where it overflowed."""
    if trace.wrapped or trace.clipped or trace.spikes.any():
        return 0.0
    error = float(np.abs(trace.v / fixed.unit - wanted.v).max(initial=0))
    return max(0.0, 1 - error / max(float(np.abs(wanted.v).max(initial=0)), 1e-300))


def _refuse(population: Population, incoming: tuple[Projection, ...], whole: list[Weights]) -> None:
    """Raise OutOfRange where values at a scale of the user's do not fit, or leave no weight at all."""
    projections = tuple(replace(q, weights=w) for q, w in zip(incoming, whole, strict=True))
    check_range(Program("fixed", 1, 1, (population,), projections))
    for q in projections:
        if not stored_weights(q.weights.values).any():
            got = f"every weight from {q.source!r} to {q.target!r} becomes 0"
            raise OutOfRange(got, "weights of 1 or more at this scale", "choose a larger scale")
