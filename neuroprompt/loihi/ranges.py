"""Refuses fixed programs that hold what Loihi would change without a word."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroprompt.errors import OutOfRange
from neuroprompt.loihi.arithmetic import DECAY_ONE, EXPONENTS, MANTISSA, SHIFT, VTH_MAX
from neuroprompt.loihi.synapses import stored_weights
from neuroprompt.spiking.program import GRADED, Program
from neuroprompt.spiking.weights import Weights


def check_range(program: Program) -> None:
    """Raise OutOfRange, naming part and value, where a fixed program holds what the chip would change in silence."""
    for p in program.populations:
        _within(f"the bias of {p.name!r}", p.bias, *MANTISSA)
        _within(f"the threshold of {p.name!r}", p.vth, 0, VTH_MAX)
        _within(f"dv of {p.name!r}", p.dv, 0, DECAY_ONE - 1)
        _within(f"du of {p.name!r}", p.du, 0, DECAY_ONE - 1)
        _within(f"the bias exponent of {p.name!r}", p.bias_exp, 0, 7)
        for _, values in p.currents:
            _within(f"a current into {p.name!r}", values, -GRADED, GRADED)
        if p.depth and p.bias_exp != SHIFT:
            raise OutOfRange(f"{p.name!r} has bias exponent {p.bias_exp} behind a projection", "6, weight units")
    for q in program.projections:
        _within(f"the exponent of the weights from {q.source!r} to {q.target!r}", q.exponent, *EXPONENTS)
        if q.weights.cached(_stored_as_they_are):
            continue
        what, weights = f"a weight from {q.source!r} to {q.target!r}", q.weights.values
        mixed = weights.min() < 0 < weights.max()
        _within(what, weights, -256 if mixed else -255, 254 if mixed else 255)
        odd = weights[weights.astype(np.int16) & 1 != 0] if mixed else weights[:0]
        if odd.size:
            raise OutOfRange(f"{what} is {odd[0]:g}, odd beside weights of the other sign", "even weights")


def _stored_as_they_are(weights: Weights) -> bool:
    values = weights.values
    return values.dtype.kind in "iu" and np.array_equal(stored_weights(values), values)


def _within(what: str, values: Any, low: int, high: int) -> None:
    array = np.atleast_1d(values)
    if array.dtype.kind in "iu" and array.size and low <= array.min() and array.max() <= high:
        return
    bad = array[(array < low) | (array > high) | (array != np.rint(array))]
    if bad.size:
        raise OutOfRange(f"{what} is {bad[0]:g}", f"an integer from {low} to {high}", "choose another scale")
