"""Shares: the ways in which numbers on the input lines and their weights can share the bits of a sum.

A population's scale s (chip units per unit of v) follows from its range: |u| and |v| must stay below 2^17 (GRADED),
which is 24 bits after the chip's shift by 6. With weights W = round(w c), inputs X = round(x g) and the sum shifted
right by k <= 8 bits

    s = c g / 2^k,   bits of W + bits of X <= 17 + 8 - (bits by which a sum is larger than its largest product)

One list of synapses holds 8 bits of W, and two hold up to 15 (`neuroprompt.compiler.lists`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neuroprompt.compiler.fit import Fitted, Task, at_scale
from neuroprompt.compiler.lists import ANY, FINEST, MIXED, PLAIN, Precision, integer_lists
from neuroprompt.compiler.measure import rounding_noise
from neuroprompt.loihi.arithmetic import DECAY_ONE, EXPONENTS, MANTISSA, VTH_MAX, Array
from neuroprompt.spiking.program import GRADED
from neuroprompt.spiking.weights import Weights

MARGIN = 2.0
"""How many times as far as on the calibration inputs u may go before it wraps in the chip's 24 bits."""
SLACK = 1.05
"""The same for v, which does not wrap but stay at the end of its range, where a neuron is far from firing."""
MOST_BITS = 16
"""Of a number on a line beside weights of several sizes; more would gain nothing."""
GRIDS = (1, 2, 4, 8, 16, 32, 64, 128, 255, 256, 512, 1024, 2048, 4096)
"""Inputs that are all whole multiples of 1 over one of these are sent without rounding: spike counts, pixels."""
NEAR = 1e-4
"""How near to whole: pixels that were divided in float32 are not multiples to the last bit."""


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
    share = _share(tasks, scales, Precision(*EXPONENTS), _Lines.of(inputs))
    return share.input_scale if share else 1.0


def shares(tasks: Sequence[Task], inputs: Array, largest: float) -> Iterator[Share]:
    """All choices: those that clip nothing first, and one list before two, split where that rounds least."""
    lines = _Lines(largest) if largest else _Lines.of(inputs)
    never = any(task.population.emits == "v" for task in tasks)
    for clips in (False,) if largest or never else (False, True):
        scales = {task.population.name: _scale(task, largest, clips) for task in tasks}
        least: tuple[float, Share] | None = None
        for finer in range(FINEST + 1):
            share = _share(tasks, scales, Precision(*EXPONENTS, finer), lines)
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


@dataclass(frozen=True)
class _Lines:
    """What the input lines carry: numbers of at most `largest`, all whole multiples of 1/grid (0: none is known)."""

    largest: float
    grid: int = 0

    @classmethod
    def of(cls, inputs: Array) -> _Lines:
        """The lines of these inputs."""
        largest = float(np.abs(inputs).max(initial=0))
        steps = ((grid, inputs * grid) for grid in GRIDS)
        whole = (grid for grid, x in steps if np.abs(x - np.rint(x)).max(initial=0) < NEAR)
        return cls(largest or 1.0, next(whole, 0))


def _share(tasks: Sequence[Task], scales: dict[str, float], precision: Precision, lines: _Lines) -> Share | None:
    """The share in which every weight has its bits and the lines what is left; None where they have nothing left."""
    fair = {task.population.name: _line_scale(task, scales[task.population.name], precision) for task in tasks}
    most = np.inf if all(map(_unit, tasks)) else 2.0**MOST_BITS / lines.largest
    line_scale = min(*fair.values(), most)
    if lines.grid and line_scale >= lines.grid:
        line_scale = lines.grid * float(np.floor(line_scale / lines.grid))
    units = {t.population.name for t in tasks if _unit(t)}
    # A unit weight is 1, and the lines carry its size: their scale says the population's.
    scales = {name: s * line_scale / fair[name] if name in units else s for name, s in scales.items()}
    return Share(line_scale, scales, precision) if line_scale * lines.largest >= 1 else None


def _line_scale(task: Task, scale: float, precision: Precision) -> float:
    """The scale of the lines at which the heaviest weight of a population takes all its bits."""
    heaviest = max(float(np.abs(weights.values).max()) for weights in _from_input(task))
    if _unit(task):
        return scale * heaviest
    return scale * heaviest / (MIXED * 2.0 ** (precision.least + precision.finer))


def _scale(task: Task, largest: float, clips: bool) -> float:
    """The largest scale of a population at which its range fits."""
    p = task.population
    bias = max(float(np.abs(values).max(initial=0)) for values in (p.bias, *(v for _, v in p.currents)))
    if largest:
        reach = (float(sum(map(_row_sums, _from_input(task))).max()) * largest + bias) * _kept(task)  # type: ignore[union-attr]
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
        smaller = GRADED / reach * (1 - 1e-4)
        scales = {name: scale * smaller for name, scale in share.scales.items()}
        share = replace(share, input_scale=share.input_scale * smaller, scales=scales)
    return None


def _worst(task: Task, share: Share, largest: float) -> float:
    """The largest |v| that inputs of at most `largest` can lead to, in the chip's integers."""
    scaled, scale, p = share.task(task), share.scales[task.population.name], task.population
    top = float(np.rint(largest * share.input_scale))
    reach = np.rint(np.abs(p.bias) * scale) + sum(np.rint(np.abs(values) * scale) for _, values in p.currents)
    for q in scaled.incoming:
        if scaled.carries_numbers(q):
            for part in integer_lists(q, scaled.factor(q, scale), share.of_numbers(task)).projections:
                # Shifting right rounds down by less than 1 a list.
                reach = reach + _row_sums(part.weights) * top * 2.0**part.exponent + (part.exponent < 0)
    return float(reach.max()) * _kept(task)


def _noise(task: Task, share: Share) -> float:
    scaled, scale = share.task(task), share.scales[task.population.name]
    lists = [
        integer_lists(q, scaled.factor(q, scale), share.of_numbers(task) if scaled.carries_numbers(q) else ANY)
        for q in scaled.incoming
    ]
    return rounding_noise(scaled, lists, scale)


def _unit(task: Task) -> bool:
    """Whether every neuron has one line, and all weights are equal."""
    ways = _from_input(task)
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


def _from_input(task: Task) -> list[Weights]:
    """The weights with which numbers reach a population: one matrix, or several with different delays or signs."""
    return [q.weights for q in task.incoming if q.source == "input"]
