"""What every fit of a population to Loihi's integers shares: its result, and how decay and weights are rounded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuroprompt.loihi_arithmetic import DECAY_ONE, Array, Trace, step_fixed
from neuroprompt.program import Population

NO_MEMORY = DECAY_ONE - 1
"""du of a current without memory."""


@dataclass(frozen=True)
class Fitted:
    """One population in integers, with its incoming weights, what it did on the calibration inputs, and its scale."""

    population: Population
    weights: tuple[Array, ...]
    trace: Trace
    scale: float
    match: float
    changed: int


def decay(population: Population) -> int:
    """dv in 4096ths; the chip's largest is 4095, so tau = 1 step keeps 1/4096 of v."""
    return min(round(float(population.dv) * DECAY_ONE), DECAY_ONE - 1)


def rounded(exact: NDArray[np.float64], *, keep_odd: bool = False) -> NDArray[np.float64]:
    """Whole numbers, even ones where signs are mixed; whole numbers already stay, so that odd ones can be refused."""
    whole = np.rint(exact)
    if not mixed(exact) or (keep_odd and np.array_equal(whole, exact)):
        return whole
    return 2 * np.rint(exact / 2)


def mixed(weights: Array) -> bool:
    """Whether some weights are below and some above 0."""
    return bool(weights.min() < 0 < weights.max())


def best_threshold(fixed: Population, exact: float, drive: Array, spikes: Array) -> tuple[Population, Trace, float]:
    """The population with the better of two thresholds, what it does, and its share of steps as in `spikes`.

    A sum of integers is above a threshold exactly where it is above its whole part, so both roundings are candidates.
    """
    found = []
    for vth in sorted({round(exact), int(np.floor(exact))}):
        option = replace(fixed, vth=vth)
        trace = step_fixed(option, drive)
        found.append((option, trace, float((trace.spikes == spikes).mean())))
    return max(found, key=lambda f: f[2])
