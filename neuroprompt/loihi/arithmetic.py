"""Loihi's step arithmetic in numpy, on programs: Lava 0.10.0's rules for Dense and LIF, float and bit-accurate.

A population's input of chip step t + depth is what its sources emit at their step t - lag, and before chip step
`depth` it is at rest (nothing arrives, and no threshold is below 0), so states are those of the graph's steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from neuroprompt.loihi.synapses import arriving_fixed, stepwise_fixed
from neuroprompt.spiking.program import Population, Program, Projection, is_spikes
from neuroprompt.spiking.weights import Weights

Array = NDArray[Any]

DECAY_ONE = 4096
SHIFT = 6
"""What synaptic input, threshold and (here) host-delivered bias are shifted by to meet u and v."""
HALF = 2**23
"""u and v have 24 bits."""
MANTISSA = (-4096, 4095)
VTH_MAX = 2**17 - 1
SUM_END = 2**15
"""Where the sum of a step, in weight units, wraps on a Loihi 1 (`neuroprompt.loihi.loihi1`)."""
EXPONENTS = (-8, 7)
"""Of weights: what 4 bits hold."""


@dataclass(frozen=True)
class Trace:
    """What one population did in T steps: spikes, u and v after the reset, all (T, n); and overflows of u and v.

    `beyond` counts sums of weights of 2^15 or more, which wrap on a Loihi 1, where they were looked at.
    """

    spikes: NDArray[np.bool_]
    u: Array
    v: Array
    wrapped: int = 0
    clipped: int = 0
    beyond: int = 0


def simulate(program: Program, inputs: Array) -> dict[str, Trace]:
    """Run `program` from rest on `inputs` (T, n_in): a Trace for every population. Raises what Program.encode does."""
    return simulate_sent(program, program.encode(inputs))


def simulate_sent(program: Program, sent: Array) -> dict[str, Trace]:
    """`simulate` of what Program.encode gave.

    Populations that no cycle joins are run one after the other, all their steps at once; those of a cycle together,
    step by step.
    """
    emitted: dict[str, Array] = {"input": sent}
    traces: dict[str, Trace] = {}
    for part in cycles(program):
        arriving = {p.name: _arriving(program, p, emitted) for p in part}
        inner = [q for q in program.projections if q.source in arriving and q.target in arriving]
        traces |= _together(part, inner, arriving, program) if inner else _alone(part[0], arriving, program)
        emitted |= {p.name: traces[p.name].spikes for p in part}
    return {p.name: traces[p.name] for p in program.populations}


def cycles(program: Program) -> list[list[Population]]:
    """The populations in parts that cycles join, each part after those that reach it, in the program's order."""
    number = {p.name: i for i, p in enumerate(program.populations)}
    edges = [(number[q.source], number[q.target]) for q in program.projections if q.source in number]
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    joined = coo_matrix((np.ones(len(edges)), (rows, columns)), (len(number),) * 2)
    count, part = connected_components(joined, directed=True, connection="strong")
    waiting = {i: {part[s] for s, t in edges if part[t] == i and part[s] != i} for i in range(count)}
    order: list[int] = []
    while waiting:
        ready = min((i for i, before in waiting.items() if not before), key=lambda i: int(np.argmax(part == i)))
        order.append(ready)
        del waiting[ready]
        for before in waiting.values():
            before.discard(ready)
    return [[p for p in program.populations if part[number[p.name]] == i] for i in order]


def _arriving(program: Program, population: Population, emitted: dict[str, Array]) -> Array:
    """What a population gets from sources that are known already, and from its currents, (T, n)."""
    fixed = program.precision == "fixed"
    a: Array = np.zeros((program.steps, population.size), np.int64 if fixed else np.float64)
    for q in program.into(population.name):
        if q.source in emitted:
            sent = emitted[q.source][: max(0, program.steps - q.lag)]
            a[q.lag :] += arriving_fixed(q, sent) if fixed else weighted_sums_float(q.weights, sent)
    for onset, values in population.currents:
        a[onset:] += values
    return a


def _alone(population: Population, arriving: dict[str, Array], program: Program) -> dict[str, Trace]:
    step = step_fixed if program.precision == "fixed" else step_float
    return {population.name: step(population, arriving[population.name])}


def _together(
    part: list[Population], inner: list[Projection], arriving: dict[str, Array], program: Program
) -> dict[str, Trace]:
    fixed = program.precision == "fixed"
    run = {p.name: (FixedNeurons if fixed else FloatNeurons)(p, program.steps) for p in part}
    columns = [stepwise_fixed(q) if fixed else None for q in inner]
    for t in range(program.steps):
        for p in part:
            a = arriving[p.name][t]
            for q, turned in zip(inner, columns, strict=True):
                if q.target == p.name and t >= q.lag:
                    spikes = run[q.source].spikes[t - q.lag]
                    a = a + (weighted_sums_float(q.weights, spikes[None])[0] if turned is None else turned(spikes))
            run[p.name].step(t, a)
    return {name: neurons.trace() for name, neurons in run.items()}


# --- float ------------------------------------------------------------------------------------------------------------


def weighted_sums_float(weights: Weights, spikes: Array) -> Array:
    """What Lava's float Dense delivers, (T, out): the sum of active columns, or W x for inputs that are no spikes.

    One to one: w x. Sparse rows: W x, as Lava's Sparse.
    """
    if not weights.is_dense:
        return weights.apply(spikes.astype(np.float64))
    matrix = weights.raw
    if not len(spikes):
        return np.zeros((0, len(matrix)))
    if is_spikes(spikes):
        return np.stack([matrix[:, active].sum(axis=1) for active in spikes.astype(bool)])
    return np.stack([matrix.dot(x) for x in spikes])


class FloatNeurons:
    """u = u (1 - du) + a;  v = v (1 - dv) + u + bias;  spike if v > vth;  v <- 0, with a row for every step."""

    def __init__(self, population: Population, steps: int) -> None:
        shape = (steps, population.size)
        self.population = population
        self.u, self.v = np.zeros(population.size), np.zeros(population.size)
        self.us, self.vs, self.spikes = np.empty(shape), np.empty(shape), np.empty(shape, bool)

    def step(self, t: int, a: Array) -> None:
        """Step t, with what arrives (n,); a bias behind a projection comes from the host, with it."""
        p = self.population
        late = p.depth > 0
        self.u = self.u * (1 - p.du) + (a + p.bias if late else a)
        self.v = self.v * (1 - p.dv) + self.u + (0.0 if late else p.bias)
        if p.hold and t:
            self.v[self.spikes[t - 1]] = 0
        fired = self.v > p.vth
        self.v[fired] = 0
        self.us[t], self.vs[t], self.spikes[t] = self.u, self.v, fired

    def trace(self) -> Trace:
        """All rows."""
        return Trace(self.spikes, self.us, self.vs)


def step_float(population: Population, a: Array) -> Trace:
    """FloatNeurons for all steps of `a` (T, n)."""
    neurons = FloatNeurons(population, len(a))
    for t, arriving in enumerate(a):
        neurons.step(t, arriving)
    return neurons.trace()


# --- integers ---------------------------------------------------------------------------------------------------------


class FixedNeurons:
    """The bit-accurate LIF, with a row for every step; what arrives are weighted sums before their shift.

    u = wrap24(trunc0(u (4096 - du - 1) / 4096) + (a << 6));  v = clip24(trunc0(v (4096 - dv) / 4096) + u + bias);
    spike if v > (vth << 6);  v <- 0. A bias behind a projection comes from the host, in weight units, with a.
    """

    def __init__(self, population: Population, steps: int) -> None:
        shape = (steps, population.size)
        self.population = population
        self.u, self.v = np.zeros(population.size, np.int64), np.zeros(population.size, np.int64)
        self.us, self.vs, self.spikes = np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(shape, bool)
        self.keep_u = DECAY_ONE - np.asarray(population.du, np.int64) - 1
        self.remembers = bool(self.keep_u.any())
        self.keep_v = DECAY_ONE - np.asarray(population.dv, np.int64)
        self.vth = np.asarray(population.vth, np.int64) << SHIFT
        self.late = population.depth > 0
        self.bias = population.bias.astype(np.int64) << (0 if self.late else population.bias_exp)
        self.wrapped = self.clipped = 0

    def step(self, t: int, a: Array) -> None:
        """Step t, with what arrives (n,)."""
        a = a.astype(np.int64)
        u = (a + self.bias if self.late else a) << SHIFT
        if self.remembers:
            u += _decay(self.u, self.keep_u)
        if u.max(initial=0) > HALF or u.min(initial=0) <= -HALF:
            over, under = u > HALF, u <= -HALF
            self.wrapped += int(over.sum() + under.sum())
            u = u - 2 * HALF * over + 2 * HALF * under
        v = _decay(self.v, self.keep_v)
        v += u
        if not self.late:
            v += self.bias
        if v.max(initial=0) >= HALF or v.min(initial=0) <= -HALF:
            summed, v = v, np.clip(v, -HALF + 1, HALF - 1)
            self.clipped += int(np.count_nonzero(summed != v))
        if self.population.hold and t:
            v[self.spikes[t - 1]] = 0
        fired = v > self.vth
        v[fired] = 0
        self.u, self.v = u, v
        self.us[t], self.vs[t], self.spikes[t] = u, v, fired

    def trace(self) -> Trace:
        """All rows, and how often u wrapped and v was clipped."""
        return Trace(self.spikes, self.us, self.vs, self.wrapped, self.clipped)


def step_fixed(population: Population, a: Array) -> Trace:
    """FixedNeurons for all steps of `a` (T, n)."""
    neurons = FixedNeurons(population, len(a))
    for t, arriving in enumerate(a):
        neurons.step(t, arriving)
    return neurons.trace()


def _decay(state: NDArray[np.int64], factor: Array) -> NDArray[np.int64]:
    """Decay towards 0: trunc0(state factor / 4096); 4095 more for negative products makes the shift round upwards."""
    product: NDArray[np.int64] = state * factor
    product += (product >> 63) & (DECAY_ONE - 1)
    product >>= 12
    return product
