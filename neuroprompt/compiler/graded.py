"""Numbers on the input lines: how many bits they get and how many their weights, so that neither kills the net.

A population's scale s (chip units per unit of v) follows from its range: |u| and |v| must stay below 2^17 (GRADED),
which is 24 bits after the chip's shift by 6. With weights W = round(w c), inputs X = round(x g) and the sum shifted
right by k <= 8 bits

    s = c g / 2^k,   bits of W + bits of X <= 17 + 8 - (bits by which a sum is larger than its largest product)

One list of synapses holds 8 bits of W, and two hold up to 15 (`neuroprompt.compiler.lists`). How many are best is
measured: what rounding changes of what arrives, and what the neurons then do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neuroprompt.compiler.fit import Fitted, Task, at_scale
from neuroprompt.compiler.lists import ANY, FINEST, MIXED, PLAIN, Lists, Precision, integer_lists
from neuroprompt.errors import Unsupported
from neuroprompt.loihi.arithmetic import DECAY_ONE, EXPONENTS, MANTISSA, VTH_MAX, Array
from neuroprompt.loihi.synapses import shifted, weighted_sums
from neuroprompt.spiking.program import GRADED
from neuroprompt.spiking.weights import Weights

MARGIN = 2.0
"""How many times as far as on the calibration inputs u may go before it wraps in the chip's 24 bits."""
SLACK = 1.05
"""The same for v, which does not wrap but stay at the end of its range, where a neuron is far from firing."""
MOST_BITS = 16
"""Of a number on a line beside weights of several sizes; more would gain nothing."""
QUIET, ALIKE = 2e-3, 0.99
"""A choice of bits is good enough, and no other is tried, where rounding changes what arrives by so small a share (root
mean square) and the Jaccard index of the spikes is that high."""
LUCK = 5.0
"""What noise costs of the Jaccard index on other inputs, about (dense layers of 4 to 784 lines)."""
NEARBY = tuple(2 ** (-i / 24) for i in range(1, 13))
"""Scales below the best one, over half an octave, that are tried where its spikes are not alike enough."""
LEAST_JACCARD = 0.97
"""Below it a node that numbers reach is rejected: its spikes on the chip would not be those of the model."""
GRIDS = (1, 2, 4, 8, 16, 32, 64, 128, 255, 256, 512, 1024, 2048, 4096)
"""Inputs that are all whole multiples of 1 over one of these are sent without rounding: spike counts, pixels."""


@dataclass(frozen=True)
class Share:
    """The scale of the lines, by name the scale of every population that they reach, and what its weights get."""

    input_scale: float
    scales: dict[str, float]
    precision: Precision

    def task(self, task: Task) -> Task:
        """The task with lines of that scale."""
        return replace(task, input_scale=self.input_scale)

    def of_numbers(self, task: Task) -> Precision:
        """What lists the weights of numbers become."""
        return PLAIN if _unit(task) else self.precision

    def smaller(self, factor: float, tasks: Sequence[Task]) -> Share:
        """Populations at `factor` times their scales; the lines too, where weights of 1 tie both together."""
        scales = {name: scale * factor for name, scale in self.scales.items()}
        return replace(self, scales=scales, input_scale=self.input_scale * (factor if any(map(_unit, tasks)) else 1.0))

    def fit(self, task: Task) -> Fitted:
        """A population in these integers."""
        scale = self.scales[task.population.name]
        return at_scale(self.task(task), scale, of_spikes=ANY, of_numbers=self.of_numbers(task))


def scale_of_lines(tasks: Sequence[Task], inputs: Array, scale: float) -> float:
    """The scale of the lines where that of all populations is given: every weight has its 8 bits."""
    scales = {task.population.name: scale for task in tasks}
    share = _share(tasks, scales, Precision(*EXPONENTS), _most(inputs, 0.0), _grid(inputs))
    return share.input_scale if share else 1.0


def best_share(tasks: Sequence[Task], inputs: Array, largest: float) -> Share:
    """The share of the bits with which the populations that numbers reach fire most like their float twins.

    `largest`: numbers of at most that magnitude never overflow; where it is 0, those MARGIN times as large as the
    calibration inputs do not. Where bits are short v may clip, below, where a neuron is far from firing. Of the good
    choices the one that clips nothing wins, then the one with one list of synapses. Raises Unsupported, naming the
    nodes, where nothing is left for the numbers.
    """
    best: _Tried | None = None
    for share in _shares(tasks, inputs, largest):
        tried = _try(tasks, share)
        if tried.noise <= QUIET and tried.alike >= ALIKE:
            return share
        best = tried if best is None or tried.worth > best.worth else best
    if best is None:
        nodes = ", ".join(repr(task.population.name) for task in tasks)
        got = f"no bits are left for the numbers that reach node {nodes}"
        raise Unsupported(got, "inputs of at least 2 levels beside these weights", "spikes as inputs, or smaller sums")
    for factor in NEARBY if best.alike < ALIKE else ():
        tried = _try(tasks, best.share.smaller(factor, tasks))
        if tried.alike >= ALIKE:
            return tried.share
        best = tried if tried.worth > best.worth else best
    return best.share


@dataclass(frozen=True)
class _Tried:
    """A share, what its rounding changes, and how alike the spikes are, each of the worst population."""

    share: Share
    noise: float
    alike: float

    @property
    def worth(self) -> float:
        """Few spikes may agree by luck, which other inputs do not have."""
        return self.alike - LUCK * self.noise


def _try(tasks: Sequence[Task], share: Share) -> _Tried:
    fits = [share.fit(task) for task in tasks]
    noise = max(rounding_noise(share.task(t), f.lists, f.scale) for t, f in zip(tasks, fits, strict=True))
    return _Tried(share, noise, min(likeness(task, fitted) for task, fitted in zip(tasks, fits, strict=True)))


def likeness(task: Task, fitted: Fitted) -> float:
    """The Jaccard index of a population's spikes with its float twin's; of one that never fires its `match`."""
    if task.population.emits == "v":
        return fitted.match
    both = int((fitted.trace.spikes & task.wanted.spikes).sum())
    either = int((fitted.trace.spikes | task.wanted.spikes).sum())
    return both / either if either else 1.0


def rounding_noise(task: Task, lists: Sequence[Lists], scale: float) -> float:
    """What rounding weights and inputs changes of what numbers deliver, over that itself, each as root mean square."""
    size = error = 0.0
    for q, x, each in zip(task.incoming, task.arriving, lists, strict=True):
        if x is not None and task.carries_numbers(q):
            exact = q.weights.apply(x)
            size += float((exact**2).sum())
            error += float(((delivered(each, task.sent(q, x)) / scale - exact) ** 2).sum())
    return (error / size) ** 0.5 if size else 0.0


def delivered(lists: Lists, sent: Array) -> Array:
    """What the lists of a projection deliver together, (T, out)."""
    return np.asarray(sum(shifted(weighted_sums(q.weights, sent), q.exponent) for q in lists.projections))


def from_input(task: Task) -> list[Weights]:
    """The weights with which numbers reach a population: one matrix, or several with different delays or signs."""
    return [q.weights for q in task.incoming if q.source == "input"]


# --- the choices ------------------------------------------------------------------------------------------------------


def _shares(tasks: Sequence[Task], inputs: Array, largest: float) -> Iterator[Share]:
    """All choices: those that clip nothing first, and one list before two, split where that rounds least."""
    most = _most(inputs, largest)
    grid = 0 if largest else _grid(inputs)
    never = any(task.population.emits == "v" for task in tasks)
    for clips in (False,) if largest or never else (False, True):
        scales = {task.population.name: _scale(task, largest, clips) for task in tasks}
        least: tuple[float, Share] | None = None
        for finer in range(FINEST + 1):
            share = _share(tasks, scales, Precision(*EXPONENTS, finer), most, grid)
            share = share and _within(tasks, share, largest)
            if share is None:
                break
            if finer == 0:
                yield share
                continue
            noise = max(_noise(task, share) for task in tasks)
            if least is not None and noise > least[0]:
                break
            least = noise, share
        if least is not None and not all(_unit(task) for task in tasks):
            yield least[1]


def _share(
    tasks: Sequence[Task], scales: dict[str, float], precision: Precision, most: float, grid: int
) -> Share | None:
    """The share in which every weight has its bits and the lines what is left; None where they have nothing left."""
    fair = {task.population.name: _line_scale(task, scales[task.population.name], precision) for task in tasks}
    line_scale = min(*fair.values(), most if not all(map(_unit, tasks)) else np.inf)
    if grid and line_scale >= grid:
        line_scale = grid * float(np.floor(line_scale / grid))
    units = {t.population.name for t in tasks if _unit(t)}
    # A unit weight is 1, and the lines carry its size: their scale says the population's.
    scales = {name: s * line_scale / fair[name] if name in units else s for name, s in scales.items()}
    return Share(line_scale, scales, precision) if line_scale > 0 else None


def _line_scale(task: Task, scale: float, precision: Precision) -> float:
    """The scale of the lines at which the heaviest weight of a population takes all its bits."""
    heaviest = max(float(np.abs(weights.values).max()) for weights in from_input(task))
    if _unit(task):
        return scale * heaviest
    return scale * heaviest / (MIXED * 2.0 ** (precision.least + precision.finer))


def _scale(task: Task, largest: float, clips: bool) -> float:
    """The largest scale of a population at which its range fits."""
    p = task.population
    bias = max(float(np.abs(values).max(initial=0)) for values in (p.bias, *(v for _, v in p.currents)))
    if largest:
        reach = (float(sum(map(_row_sums, from_input(task))).max()) * largest + bias) * _kept(task)  # type: ignore[union-attr]
    else:
        u, v = (float(np.abs(state).max(initial=0)) for state in (task.wanted.u, task.wanted.v))
        reach = max(MARGIN * u, 0.0 if clips else (SLACK if p.emits == "spikes" else MARGIN) * v)
    of_spikes = (float(np.abs(q.weights.values).max()) for q in task.incoming if q.source != "input")
    limits = [(GRADED, reach), *((MIXED * 2.0 ** EXPONENTS[1], weight) for weight in of_spikes)]
    limits += [(VTH_MAX, float(p.vth))] if np.isfinite(p.vth) else []
    limits += [] if p.depth else [(MANTISSA[1], float(np.abs(p.bias).max(initial=0)))]
    return min((most / value for most, value in limits if value), default=1.0)


def _within(tasks: Sequence[Task], share: Share, largest: float) -> Share | None:
    """The share, a bit smaller where roundings of the largest inputs would overflow; None where they always would."""
    if not largest:
        return share
    for _ in range(4):
        reach = max(_worst(task, share, largest) for task in tasks)
        if reach <= GRADED:
            return share
        smaller = GRADED / reach * (1 - 1e-6)
        scales = {name: scale * smaller for name, scale in share.scales.items()}
        share = replace(share, input_scale=share.input_scale * smaller, scales=scales)
    return None


def _worst(task: Task, share: Share, largest: float) -> float:
    """The largest |v| that inputs of at most `largest` can lead to, in the chip's integers."""
    given, scale, p = share.task(task), share.scales[task.population.name], task.population
    top = float(np.rint(largest * share.input_scale))
    reach = np.rint(np.abs(p.bias) * scale) + sum(np.rint(np.abs(values) * scale) for _, values in p.currents)
    for q in given.incoming:
        if given.carries_numbers(q):
            for part in integer_lists(q, given.factor(q, scale), share.of_numbers(task)).projections:
                # Shifting right rounds down by less than 1 a list.
                reach = reach + _row_sums(part.weights) * top * 2.0**part.exponent + (part.exponent < 0)
    return float(reach.max()) * _kept(task)


def _noise(task: Task, share: Share) -> float:
    given, scale = share.task(task), share.scales[task.population.name]
    lists = [
        integer_lists(q, given.factor(q, scale), share.of_numbers(task) if given.carries_numbers(q) else ANY)
        for q in given.incoming
    ]
    return rounding_noise(given, lists, scale)


def _most(inputs: Array, largest: float) -> float:
    """The scale at which the largest number on a line has MOST_BITS."""
    return 2.0**MOST_BITS / (largest or float(np.abs(inputs).max(initial=0)) or 1.0)


def _grid(inputs: Array) -> int:
    """The first of GRIDS of which the inputs are whole multiples; 0 where they are of none."""
    for grid in GRIDS:
        steps = inputs * grid
        if np.abs(steps - np.rint(steps)).max(initial=0) < 1e-4:
            return grid
    return 0


def _unit(task: Task) -> bool:
    """Whether every neuron has one line, and all weights are equal."""
    ways = from_input(task)
    one_line = len(ways) == 1 and (ways[0].is_one_to_one or ways[0].shape[1] == 1)
    return bool(one_line and np.all(ways[0].values == ways[0].values.flat[0]))


def _kept(task: Task) -> float:
    """The most that a constant input of 1 grows to in v: sum_k (1 - du)^k times sum_k (1 - dv)^k."""
    grown = 1.0
    for decay in (task.population.du, task.population.dv):
        # The chip's largest decay keeps 1/4096.
        keep = 1 - min(np.rint(float(np.min(decay)) * DECAY_ONE), DECAY_ONE - 1) / DECAY_ONE
        grown *= float(sum(keep**k for k in range(task.steps)))
    return grown


def _row_sums(weights: Weights) -> Array:
    """sum over lines of |w|, for every neuron."""
    return np.asarray(weights.with_values(np.abs(weights.values)).apply(np.ones((1, weights.shape[1])))[0])


def bits_of(values: Any) -> int:
    """Bits of the largest magnitude, and one for the sign where there is one."""
    return int(np.abs(values).max(initial=0)).bit_length() + int((np.asarray(values) < 0).any())
