"""Wide: the scale of a population whose weights may have more than 8 bits, and the fewest synapses that are enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuroprompt.compiler.balance import balanced
from neuroprompt.compiler.fit import Fitted, Task, at_scale, with_lists
from neuroprompt.compiler.lists import MIXED, Lists, sign_lists
from neuroprompt.compiler.search import search
from neuroprompt.contracts.wide import Wide
from neuroprompt.loihi.arithmetic import HALF, SHIFT, SUM_END, VTH_MAX, Array

BELOW, SHARE = 3, 0.5
"""How far below the scale at which 8 bits are full the search goes, in octaves; near the choice it tries their half."""
ROOM = 1.25
"""How many times as far as on the calibration inputs u may go before it wraps in the chip's 24 bits."""
NEARLY = 1.05
"""Where the agreement asked for cannot be had: how many times the smallest error is accepted for fewer synapses."""
ALIKE = 1.02
"""How many times the fewest synapses still count as few: among those the smallest error wins."""


@dataclass(frozen=True)
class _Tried:
    """A population at a scale, its error, and its synapses."""

    fitted: Fitted
    error: float
    synapses: int

    @classmethod
    def of(cls, task: Task, fitted: Fitted, wide: Wide) -> _Tried:
        return cls(fitted, _error(task, fitted, wide), synapses_of(fitted))


def search_wide(task: Task, wide: Wide) -> Fitted:
    """The scale and the lists of synapses with the fewest synapses of those that agree as asked.

    Tried are one list of 8 bits as `search` has it, at octaves up to the scale that fills 8 bits and at powers of two,
    and from there up to the widest weights a list of each sign, with one for weights beyond 8 bits (`sign_lists`).
    Their rounding balances out on the calibration inputs (`balanced`), and their thresholds lie halfway between two
    sums, as do exact ones on average. A larger scale rounds less, and one octave above the last clips; but v ends at
    2^17 weight units, 24 bits, below 0 as well, and so does the threshold.

    An error is 1 less the Jaccard index, with a cell more that is wrong, since few spikes agree by luck; and as much as
    potentials differ near the threshold, in thresholds, which tells two apart whose spikes are the same. Cells in which
    u wrapped, or the sum of a step on a Loihi 1, are wrong. Those in which v was clipped, mostly of neurons that never
    fire again, are only where their spikes are; but of nearly equal errors the one with the fewest wins, since on other
    inputs they may fire again.
    """
    full, most = _ends(task, wide)
    if most < full * 2.0**-BELOW or not full:
        return search(task)
    octaves = full * 2.0 ** np.arange(-BELOW, wide.bits - 7)
    twos = 2.0 ** (np.floor(np.log2(full)) - np.arange(BELOW + 1))
    plain = [at_scale(task, float(scale)) for scale in (*octaves[: BELOW + 1], *twos) if scale <= most]
    tried = [_Tried.of(task, fitted, wide) for fitted in plain]
    tried += [_tried(task, min(float(s), most), wide) for s in octaves[BELOW - 1 :] if s < 2 * most]
    scale = _chosen(tried, wide.agreement).fitted.scale
    for near in (scale * 2.0**-SHARE, scale * 2.0**SHARE):
        if full / 2 <= near <= most:
            tried.append(_tried(task, near, wide))
    return _chosen(tried, wide.agreement).fitted


def _chosen(tried: list[_Tried], agreement: float) -> _Tried:
    enough = max(1 - agreement, NEARLY * min(each.error for each in tried))
    good = [each for each in tried if each.error <= enough]
    few = ALIKE * min(each.synapses for each in good)
    best = [each for each in good if each.synapses <= few]
    nearly = NEARLY * min(each.error for each in best)
    return min(
        (each for each in best if each.error <= nearly), key=lambda each: (each.fitted.trace.clipped, each.error)
    )


def _tried(task: Task, scale: float, wide: Wide) -> _Tried:
    vth = _threshold(task)
    if vth:  # A sum of whole numbers is above a whole threshold from the next whole number on.
        scale = (max(0.0, np.floor(scale * vth - 0.5)) + 0.49) / vth
    return _Tried.of(task, with_lists(task, scale, _lists(task, scale, wide.bits)), wide)


def synapses_of(fitted: Fitted) -> int:
    """Entries that are not 0 of all lists."""
    return sum(int(np.count_nonzero(q.weights.values)) for q in fitted.projections)


def _error(task: Task, fitted: Fitted, wide: Wide) -> float:
    if task.population.emits == "v":
        return 1 - fitted.match
    trace, wanted, vth = fitted.trace, task.wanted, float(task.population.vth)
    either = int((trace.spikes | wanted.spikes).sum())
    wrong = int((trace.spikes ^ wanted.spikes).sum()) + int(trace.wrapped) + 1
    wrong += trace.beyond if wide.chip == "loihi1" else 0
    near = np.abs(wanted.v) <= vth
    apart = np.abs(trace.v[near] / (fitted.scale * 2.0**SHIFT) - wanted.v[near])
    return wrong / (either + 1) + float(np.minimum(apart, vth).sum() / (vth * max(1, apart.size)) if vth else 0.0)


def _ends(task: Task, wide: Wide) -> tuple[float, float]:
    """The scale at which 8 bits are full, and the largest at which u, a potential that is read out and vth fit.

    On a Loihi 1 all of u stays where the sum of a step has its end.
    """
    heaviest = max(float(np.abs(q.weights.values).max(initial=0)) for q in task.incoming)
    if not heaviest:
        return 0.0, 0.0
    states = (task.wanted.u, task.wanted.v) if task.population.emits == "v" else (task.wanted.u,)
    reach = ROOM * max(float(np.abs(state).max(initial=0)) for state in states)
    end = SUM_END if wide.chip == "loihi1" else HALF >> SHIFT
    limits = ((end, reach), (VTH_MAX, _threshold(task)), (MIXED * 2.0 ** (wide.bits - 8), heaviest))
    return MIXED / heaviest, min(limit / value for limit, value in limits if value)


def _threshold(task: Task) -> float:
    vth = float(task.population.vth)
    return vth if task.population.emits == "spikes" and np.isfinite(vth) else 0.0


def _lists(task: Task, scale: float, bits: int) -> tuple[Lists, ...]:
    bias = task.population.bias * scale
    left: Array = np.rint(bias) - bias
    lists = []
    for q, arriving in zip(task.incoming, task.arriving, strict=True):
        exact = q.weights.with_values(q.weights.values * scale)
        rates = (task.wanted.spikes if arriving is None else arriving).mean(axis=0)
        whole, left = balanced(exact, 1, rates, spans(task), left)
        lists.append(sign_lists(q, exact.values, whole, bits))
    return tuple(lists)


def spans(task: Task) -> Array:
    """Over how many steps a neuron adds up what arrives: until it fires, or forgets. (n,)"""
    fired = task.wanted.spikes.sum(axis=0)
    ends = (fired + task.runs) / len(task.wanted.spikes)
    return np.asarray(1 / (ends + np.asarray(task.population.dv, np.float64)))
