"""Integers for neurons that numbers drive one to one, not spikes: the scale that no input can overflow."""

from __future__ import annotations

from dataclasses import replace
from math import log2
from typing import Any

import numpy as np

from neuroprompt.errors import Unsupported
from neuroprompt.fitting import NO_MEMORY, Fitted, best_threshold, decay, rounded
from neuroprompt.loihi_arithmetic import DECAY_ONE, MANTISSA, SHIFT, VTH_MAX, Array, drive_fixed, stored_weights
from neuroprompt.program import GRADED, Population, Program, Projection


def fit_graded(
    population: Population, projection: Projection, inputs: Array, spikes: Array, at: tuple[float, float]
) -> Fitted:
    """The population at scale and input scale `at`, driven by inputs (T, n) sent as round(x input_scale).

    Weights that are all equal are 1, and the inputs carry their size; others share 8 bits. With threshold 0 and no bias
    the spikes hardly depend on the scale: only potentials within rounding of 0 can change sides.
    """
    scale, input_scale = at
    weights = stored_weights(_whole(projection.weights))
    bias = np.rint(population.bias * scale)
    fixed = replace(population, du=NO_MEMORY, dv=decay(population), bias=bias.astype(np.int32), bias_exp=SHIFT)
    drive = drive_fixed(weights, np.rint(inputs * input_scale))
    fixed, trace, match = best_threshold(fixed, population.vth * scale, drive, spikes)
    return Fitted(fixed, (weights,), trace, scale, match, 0)


def scales_for(
    program: Program, population: Population, projection: Projection, largest: float, scale: float | None
) -> tuple[float, float]:
    """(s, input scale): integers per unit of v, and per unit of an input.

    s is `scale` where given, else the largest at which no input of at most `largest` in magnitude can overflow:

        (s (max|w| largest + max|b|) + (W + 1) / 2) sum_(k<T) (1 - dv)^k <= GRADED;  s vth <= VTH_MAX;  s |b| <= 4095

    with W the largest whole weight: an input is rounded by up to 1/2, which it multiplies, and so is the bias. Raises
    Unsupported where several populations listen to the inputs (they would need a scale each), and where the roundings
    of so many steps alone could overflow.
    """
    if sum(p.source == "input" for p in program.projections) > 1:
        raise Unsupported("numbers that drive several populations", "one population behind the inputs")
    w, b = float(np.abs(projection.weights).max()), float(np.abs(population.bias).max())
    whole = float(np.abs(_whole(projection.weights)).max())
    if scale is None:
        kept = sum((1 - decay(population) / DECAY_ONE) ** k for k in range(program.steps))
        room = GRADED - kept * (whole + 1) / 2
        if room <= 0:
            raise Unsupported(f"numbers added up over {program.steps} steps", "fewer steps, or more leak")
        limits = ((room, (w * largest + b) * kept), (VTH_MAX, float(population.vth)), (MANTISSA[1], b))
        scale = min((most / value for most, value in limits if value), default=1.0)
    return scale, scale * w / whole


def report_graded(projection: Projection, fitted: Fitted, inputs: Array, input_scale: float) -> dict[str, Any]:
    """What the integers of the inputs are: their scale, how far they are from overflow, and what rounding changed."""
    (weights,) = fitted.weights
    sent = np.rint(inputs * input_scale)
    reach = float(np.abs(drive_fixed(weights, sent)).max(initial=0))
    return {
        "scale": fitted.scale,
        "input_scale": input_scale,
        "headroom_bits": log2(GRADED / max(reach, 1.0)),
        "inputs_zeroed": int(((inputs != 0) & (sent == 0)).sum()),
        "bits": int(np.abs(weights).max()).bit_length() + int((weights < 0).any()),
        "clipped": 0,
        "zeroed": int(((projection.weights != 0) & (weights == 0)).sum()),
        "odd_to_even": 0,
        "max_error": 0.5 / input_scale,
    }


def _whole(weights: Array) -> Array:
    """1 where all are equal (or -1), else whole numbers up to 254."""
    largest = np.abs(weights).max()
    return rounded(weights / largest * (1 if np.all(weights == weights[0]) else 254))
