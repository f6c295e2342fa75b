"""Loihi's step arithmetic in numpy, on programs: Lava 0.10.0's rules for Dense and LIF, float and bit-accurate.

A population's input of chip step t + depth is what its sources emit at their step t, and before chip step `depth` it is
at rest (nothing arrives, and no threshold is below 0), so states are those of the steps 0..T-1 of the NIR graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import OutOfRange, Unsupported
from neuroprompt.program import Population, Program, is_spikes

Array = NDArray[Any]

DECAY_ONE = 4096
SHIFT = 6
"""What synaptic input, threshold and (here) host-delivered bias are shifted by to meet u and v."""
HALF = 2**23
"""u and v have 24 bits."""
MANTISSA = (-4096, 4095)
VTH_MAX = 2**17 - 1


@dataclass(frozen=True)
class Trace:
    """What one population did in T steps: spikes, u and v after the reset, all (T, n); and overflows of u and v."""

    spikes: NDArray[np.bool_]
    u: Array
    v: Array
    wrapped: int = 0
    clipped: int = 0


def simulate(program: Program, inputs: Array) -> dict[str, Trace]:
    """Run `program` from rest on `inputs` (T, n_in); a Trace for every population.

    Raises what Program.encode raises, and Unsupported for sources of unequal depth.
    """
    fixed = program.precision == "fixed"
    inputs = program.encode(inputs)
    emitted: dict[str, Array] = {"input": inputs}
    depths = {"input": 0}
    traces = {}
    for population in program.populations:
        a: Array = np.zeros((program.steps, population.size), np.int64 if fixed else np.float64)
        for projection in program.into(population.name):
            if depths[projection.source] != population.depth - 1:
                raise Unsupported(f"{population.name!r} joins paths of unequal depth", "sources one step before it")
            weights, spikes = projection.weights, emitted[projection.source]
            a = a + (drive_fixed(stored_weights(weights), spikes) if fixed else drive_float(weights, spikes))
        trace = step_fixed(population, a) if fixed else step_float(population, a)
        traces[population.name] = trace
        emitted[population.name] = trace.spikes
        depths[population.name] = population.depth
    return traces


# --- float ------------------------------------------------------------------------------------------------------------


def drive_float(weights: Array, spikes: Array) -> Array:
    """What Lava's float Dense delivers, (T, out): the sum of active columns, or W x for inputs that are no spikes.

    One to one: w x.
    """
    if weights.ndim == 1:
        return weights * spikes
    if is_spikes(spikes):
        return np.stack([weights[:, active].sum(axis=1) for active in spikes.astype(bool)])
    return np.stack([weights.dot(x) for x in spikes])


def step_float(population: Population, a: Array) -> Trace:
    """u = u (1 - du) + a;  v = v (1 - dv) + u + bias;  spike if v > vth;  v <- 0, for all steps of `a` (T, n)."""
    if population.depth:
        a, bias = a + population.bias, np.zeros(population.size)
    else:
        bias = population.bias
    u, v = np.zeros(population.size), np.zeros(population.size)
    us, vs, spikes = np.empty_like(a), np.empty_like(a), np.empty(a.shape, bool)
    for t, arriving in enumerate(a):
        u = u * (1 - population.du) + arriving
        v = v * (1 - population.dv) + u + bias
        spikes[t] = v > population.vth
        v[spikes[t]] = 0
        us[t], vs[t] = u, v
    return Trace(spikes, us, vs)


# --- integers ---------------------------------------------------------------------------------------------------------


def stored_weights(weights: Array) -> NDArray[np.int32]:
    """The weights as the chip stores them.

    All >= 0: clipped to 0..255. All <= 0: clipped to -255..0. Mixed: clipped to -256..255, lowest bit dropped.
    """
    w = weights.astype(np.int32)
    if w.min() >= 0:
        return np.clip(w, 0, 255)
    if w.max() <= 0:
        return np.clip(w, -255, 0)
    return (np.clip(w, -256, 255) >> 1) << 1


def drive_fixed(weights: Array, spikes: Array) -> NDArray[np.int64]:
    """W s for every step, (T, out), or w x one to one; float64 products of integers are exact, and much faster."""
    if weights.ndim == 1:
        return weights.astype(np.int64) * spikes.astype(np.int64)
    return (spikes.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64)


def step_fixed(population: Population, a: Array) -> Trace:
    """The bit-accurate LIF for all steps of `a` (T, n), weighted sums before their shift.

    u = wrap24(trunc0(u (4096 - du - 1) / 4096) + (a << 6));  v = clip24(trunc0(v (4096 - dv) / 4096) + u + bias);
    spike if v > (vth << 6);  v <- 0. A bias behind a projection comes from the host, in weight units, with `a`.
    """
    if population.depth:
        a, bias = a + population.bias, np.zeros(population.size, np.int64)
    else:
        bias = population.bias.astype(np.int64) << population.bias_exp
    u, v = np.zeros(population.size, np.int64), np.zeros(population.size, np.int64)
    us, vs, spikes = np.empty(a.shape, np.int32), np.empty(a.shape, np.int32), np.empty(a.shape, bool)
    wrapped = clipped = 0
    for t, arriving in enumerate(a.astype(np.int64)):
        u = _decay(u, DECAY_ONE - int(population.du) - 1) + (arriving << SHIFT)
        over, under = u > HALF, u <= -HALF
        u = u - 2 * HALF * over + 2 * HALF * under
        summed = _decay(v, DECAY_ONE - int(population.dv)) + u + bias
        v = np.clip(summed, -HALF + 1, HALF - 1)
        wrapped += int(over.sum() + under.sum())
        clipped += int((summed != v).sum())
        spikes[t] = v > (int(population.vth) << SHIFT)
        v[spikes[t]] = 0
        us[t], vs[t] = u, v
    return Trace(spikes, us, vs, wrapped, clipped)


def _decay(state: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """Decay towards 0: trunc0(state factor / 4096)."""
    product = state * factor
    decayed: NDArray[np.int64] = np.sign(product) * (np.abs(product) >> 12)
    return decayed


def check_range(program: Program) -> None:
    """Raise OutOfRange, naming part and value, where a fixed program holds what the chip would change in silence."""
    for p in program.populations:
        _within(f"the bias of {p.name!r}", p.bias, *MANTISSA)
        _within(f"the threshold of {p.name!r}", np.array([p.vth]), 0, VTH_MAX)
        _within(f"dv of {p.name!r}", np.array([p.dv]), 0, DECAY_ONE - 1)
        _within(f"du of {p.name!r}", np.array([p.du]), 0, DECAY_ONE - 1)
        _within(f"the bias exponent of {p.name!r}", np.array([p.bias_exp]), 0, 7)
        if p.depth and p.bias_exp != SHIFT:
            raise OutOfRange(f"{p.name!r} has bias exponent {p.bias_exp} behind a projection", "6, weight units")
    for q in program.projections:
        what = f"a weight from {q.source!r} to {q.target!r}"
        mixed = q.weights.min() < 0 < q.weights.max()
        _within(what, q.weights, -256 if mixed else -255, 254 if mixed else 255)
        odd = q.weights[stored_weights(q.weights) != q.weights]
        if odd.size:
            raise OutOfRange(f"{what} is {odd[0]:g}, odd beside weights of the other sign", "even weights")


def _within(what: str, values: Array, low: int, high: int) -> None:
    bad = values[(values < low) | (values > high) | (values != np.rint(values))]
    if bad.size:
        raise OutOfRange(f"{what} is {bad[0]:g}", f"an integer from {low} to {high}", "choose another scale")
