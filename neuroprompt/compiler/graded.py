"""Numbers on the input lines: their own scale, so that no input in range overflows, and what rounding them changed."""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np

from neuroprompt.compiler.fit import Fitted, Task
from neuroprompt.errors import Unsupported
from neuroprompt.loihi.arithmetic import DECAY_ONE, MANTISSA, VTH_MAX, Array
from neuroprompt.loihi.synapses import weighted_sums
from neuroprompt.spiking.program import GRADED, Projection
from neuroprompt.spiking.weights import Weights

WEIGHT = 254


def largest_scale(task: Task, largest: float) -> tuple[float, float]:
    """(s, input scale) of a population that numbers of at most `largest` reach, per unit of v and per unit of x.

    s is the largest at which no input can overflow, with sums over the neuron's lines:

        (s (sum|w| largest + |b|) + (sum|W| + 1) / 2) sum_k (1 - du)^k sum_k (1 - dv)^k <= GRADED;
        s vth <= VTH_MAX;  s |b| <= 4095;  s |w'| <= 254 for weights w' of spikes that reach it too

    where W are the whole weights: an input is rounded by up to 1/2, which they multiply, and so is the bias. Whole
    weights take what 8 bits give, but no more than the inputs have left of the range; weights that are all equal are 1,
    and the inputs carry their size. Raises Unsupported where the roundings of so many steps alone could overflow.
    """
    p = task.population
    (q,) = (q for q in task.incoming if q.source == "input")
    others = [float(np.abs(o.weights.values).max()) for o in task.incoming if o.source != "input"]
    heaviest, vth = float(np.abs(q.weights.values).max()), float(p.vth)
    rows = float(_row_sums(q.weights).max())
    bias = max(float(np.abs(values).max(initial=0)) for values in (p.bias, *(v for _, v in p.currents)))
    kept = _kept(p.dv, task.steps) * _kept(p.du, task.steps)
    whole_weights = float(_row_sums(_whole(q.weights)).max())
    room = GRADED - kept * (whole_weights + 1) / 2
    if room <= 0:
        raise Unsupported(f"numbers added up over {task.steps} steps", "fewer steps, or more leak")
    limits = [(room, (rows * largest + bias) * kept), (MANTISSA[1], bias), *((WEIGHT, w) for w in others)]
    limits += [(VTH_MAX, vth)] if np.isfinite(vth) else []
    scale = min((most / value for most, value in limits if value), default=1.0)
    return scale, scale * heaviest / _largest_whole(q.weights)


def report_graded(
    task: Task, projection: Projection, fitted: Fitted, inputs: Array, weights: Weights
) -> dict[str, Any]:
    """What the integers of the inputs are: their scale, how far they are from overflow, and what rounding changed."""
    sent = np.rint(inputs * task.input_scale)
    reach = float(np.abs(weighted_sums(weights, sent)).max(initial=0))
    whole = weights.values
    exact = projection.weights.values * fitted.scale / task.input_scale
    return {
        "scale": fitted.scale,
        "input_scale": task.input_scale,
        "headroom_bits": log2(GRADED / max(reach, 1.0)),
        "inputs_zeroed": int(((inputs != 0) & (sent == 0)).sum()),
        "bits": int(np.abs(whole).max()).bit_length() + int((whole < 0).any()),
        "clipped": int((np.abs(np.rint(exact) - whole) > 1).sum()),
        "zeroed": int(((projection.weights.values != 0) & (whole == 0)).sum()),
        "odd_to_even": 0,
        "max_error": 0.5 / task.input_scale,
    }


def _kept(decay: Any, steps: int) -> float:
    """sum over k < T of (1 - decay)^k, the most that a constant input grows to."""
    # The chip's largest decay keeps 1/4096.
    keep = 1 - min(np.rint(float(np.min(decay)) * DECAY_ONE), DECAY_ONE - 1) / DECAY_ONE
    return float(sum(keep**k for k in range(steps)))


def _row_sums(weights: Weights) -> Array:
    """sum over lines of |w|, for every neuron."""
    return np.asarray(weights.with_values(np.abs(weights.values)).apply(np.ones((1, weights.shape[1])))[0])


def _largest_whole(weights: Weights) -> int:
    """1 where all weights of one line a neuron are equal, else 254."""
    values = weights.values
    one_line = weights.is_one_to_one or weights.shape[1] == 1
    return 1 if one_line and np.all(values == values.flat[0]) else WEIGHT


def _whole(weights: Weights) -> Weights:
    values = weights.values
    return weights.with_values(values / np.abs(values).max() * _largest_whole(weights))
