"""How far the integers of a population can go in a run: which overflows are possible, and what type holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.loihi.synapses import EXACT, largest_sum
from neuroprompt.spiking.program import Population, Program

Array = NDArray[Any]

DECAY_ONE = 4096
SHIFT = 6
"""What synaptic input, threshold and (here) host-delivered bias are shifted by to meet u and v."""
HALF = 2**23
"""u and v have 24 bits."""


@dataclass(frozen=True)
class Reach:
    """Whether u may wrap and v may clip, and `narrow`: whether float32 holds every number of the run exactly.

    `rise` is the most that |v| grows by in a step.
    """

    may_wrap: bool
    may_clip: bool
    narrow: bool
    rise: float


def reach(population: Population, steps: int, most: float) -> Reach:
    """The reach of a population that gets sums of at most the magnitude `most` in each of `steps` steps.

    |u| <= 64 (most + |bias|) min(T, 1 / (1 - keep)), and v likewise of |u| and its bias. A product with n / 4096 is
    exact in float32 while the state times n without its factors of two is below 2^24, and a sum while it is itself.
    """
    left_u, left_v = (DECAY_ONE - np.asarray(decay, np.int64) for decay in (population.du, population.dv))
    left_u = left_u - 1
    bias = magnitude(population.bias)
    late, early = (bias, 0.0) if population.depth else (0.0, bias * 2.0**population.bias_exp)
    most_u = _kept((most + late) * 2**SHIFT, left_u, steps)
    most_v = _kept(most_u + early, left_v, steps)
    in_step = min(most_v, HALF + most_u + early)  # before v is clipped
    numbers = most_u * _odd(left_u), min(most_v, HALF) * _odd(left_v), in_step
    may_wrap = most_u >= HALF
    return Reach(may_wrap, most_v >= HALF, not may_wrap and max(numbers) < EXACT, most_u + early)


def most_by_weights(program: Program, population: Population) -> float:
    """The largest magnitude that spikes can add up to in a population, whichever fire; infinite for numbers."""
    most = sum((magnitude(values) for _, values in population.currents), 0.0)
    graded = {p.name for p in program.populations if p.emits != "spikes"} | (
        {"input"} if program.input_scale else set()
    )
    for q in program.into(population.name):
        if q.source in graded:
            return np.inf
        most += q.weights.cached(largest_sum) * 2.0**q.exponent + (q.exponent < 0)  # a shift rounds down
    return most


def magnitude(values: Array) -> float:
    """The largest magnitude, 0 of no values."""
    return max(float(values.max(initial=0)), -float(values.min(initial=0)))


def _odd(left: Array) -> int:
    """The largest of whole numbers without their factors of two."""
    whole = np.atleast_1d(left)
    return int(np.max(whole // np.maximum(whole & -whole, 1), initial=0))


def _kept(most: float, left: Array, steps: int) -> float:
    """What a state can reach that keeps left / 4096 of itself and gets at most `most` in every step."""
    share = float(np.max(left, initial=0)) / DECAY_ONE
    return most * min(steps, 1 / (1 - share) if share < 1 else np.inf) if most else 0.0
