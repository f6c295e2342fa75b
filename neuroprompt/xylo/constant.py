"""Neurons that a constant current alone drives and that reset to 0: exact on Xylo, which subtracts its threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuroprompt.spiking.program import Population
from neuroprompt.xylo.arithmetic import MOST, Array

LARGEST_BIAS = 127
DASH = 15
"""With it v loses 1 a step, and no more, below 2^15."""


def fit_constant(population: Population, spikes: Array) -> Population:
    """Integers that fire in the same steps as `spikes` (R, T, n), which are the same in every run.

    Such a neuron fires every k steps, and in the step of a spike v is at its threshold here, so that nothing is left:
    with a bias b, v is b, 2 b - 1, 3 b - 2, ..., and the threshold is what it is after k steps:

        vth = k (b - 1) + 1,  b = the largest of at most 127 with vth < 2^15

    Exact for every k up to 2^15 - 2, whatever the leak. One that does not fire has no bias.
    """
    fired = spikes[0]
    period = np.where(fired.any(axis=0), fired.argmax(axis=0) + 1, 0)
    bias = np.where(period > 0, np.minimum(LARGEST_BIAS, (MOST - 1) // np.maximum(period, 1) + 1), 0)
    vth = np.where(period > 0, period * (bias - 1) + 1, MOST)
    return replace(
        population,
        du=1,
        dv=DASH,
        vth=vth.astype(np.int64),
        bias=bias.astype(np.int32),
        v_reset=0,
        reset="subtract",
        currents=(),
    )
