"""Loihi's step arithmetic in numpy, on programs: Lava 0.10.0's rules for Dense and LIF, float and bit-accurate.

A population's input of chip step t + depth is what its sources emit at their step t - lag, and before chip step
`depth` it is at rest (nothing arrives, and no threshold is below 0), so states are those of the graph's steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from neuroprompt.loihi import reach as ranges
from neuroprompt.loihi.reach import magnitude, most_by_weights, reach
from neuroprompt.loihi.synapses import Product, arriving_fixed, stepwise_fixed
from neuroprompt.loihi.synapses_float import weighted_sums_float
from neuroprompt.spiking.program import Population, Program, Projection

Array = NDArray[Any]

DECAY_ONE, SHIFT, HALF = ranges.DECAY_ONE, ranges.SHIFT, ranges.HALF
MANTISSA = (-4096, 4095)
VTH_MAX = 2**17 - 1
SUM_END = 2**15
"""Where the sum of a step, in weight units, wraps on a Loihi 1 (`neuroprompt.loihi.loihi1`)."""
EXPONENTS = (-8, 7)
"""Of weights: what 4 bits hold."""


@dataclass(frozen=True)
class Trace:
    """What one population did in T steps: spikes, u and v after the reset, all (T, n); and overflows of u and v.

    Of a batch all have the items as their first axis, (B, T, n) and (B,). Where states were not kept, u and v have no
    rows. `beyond` counts sums of weights of 2^15 or more, which wrap on a Loihi 1, where they were looked at.
    """

    spikes: NDArray[np.bool_]
    u: Array
    v: Array
    wrapped: int | NDArray[np.int64] = 0
    clipped: int | NDArray[np.int64] = 0
    beyond: int = 0


def simulate(program: Program, inputs: Array) -> dict[str, Trace]:
    """Run `program` from rest on `inputs` (T, n_in), or on each of a batch (B, T, n_in): a Trace for every population.

    Raises what Program.encode does.
    """
    return simulate_sent(program, program.encode(inputs))


def simulate_sent(
    program: Program,
    sent: Array,
    states: bool = True,
    *,
    products: Mapping[Projection, Product] | None = None,
    spikes: Mapping[str, Array] | None = None,
) -> dict[str, Trace]:
    """`simulate` of what Program.encode gave; `states` says whether u and v of neurons that fire are kept.

    `products` are faster ways to the same sums of spikes (`neuroprompt.simulators.products`); `spikes` are arrays
    (..., T, n) of the caller, by population, in which the traces keep theirs. Populations that no cycle joins are run
    one after the other, all their steps at once; those of a cycle together, step by step. Every item of a batch takes
    the same numbers in the same order as alone.
    """
    emitted: dict[str, Array] = {"input": sent}
    traces: dict[str, Trace] = {}
    for part in cycles(program):
        arriving = {p.name: _arriving(program, p, emitted, products or {}) for p in part}
        inner = [q for q in program.projections if q.source in arriving and q.target in arriving]
        traces |= _stepped(program, part, inner, arriving, states=states, spikes=spikes or {})
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


def _arriving(
    program: Program, population: Population, emitted: dict[str, Array], products: Mapping[Projection, Product]
) -> Array:
    """What a population gets from sources that are known already, and from its currents, (..., T, n)."""
    fixed, steps = program.precision == "fixed", program.steps
    known = [q for q in program.into(population.name) if q.source in emitted]
    delivered = []
    for q in known:
        sent = emitted[q.source][..., : max(0, steps - q.lag), :]
        delivered.append(arriving_fixed(q, sent, products.get(q)) if fixed else weighted_sums_float(q.weights, sent))
    if len(known) == 1 and not known[0].lag and not population.currents:
        return delivered[0]
    a: Array = np.zeros((*emitted["input"].shape[:-2], steps, population.size))
    for q, sums in zip(known, delivered, strict=True):
        a[..., q.lag :, :] += sums
    for onset, values in population.currents:
        a[..., onset:, :] += values
    return a


def _stepped(
    program: Program,
    part: list[Population],
    inner: list[Projection],
    arriving: dict[str, Array],
    *,
    states: bool,
    spikes: Mapping[str, Array],
) -> dict[str, Trace]:
    """Populations step by step, with what the projections `inner` carry between them."""
    fixed = program.precision == "fixed"
    items = next(iter(arriving.values())).shape[:-2]
    looped = {q.target for q in inner}
    run: dict[str, FixedNeurons | FloatNeurons] = {}
    for p in part:
        sizes = (p, program.steps, items, states or p.emits == "v")
        if not fixed:
            run[p.name] = FloatNeurons(*sizes)
            continue
        most = most_by_weights(program, p)
        if p.name not in looped and not reach(p, program.steps, most).narrow:
            most = magnitude(arriving[p.name])
        run[p.name] = FixedNeurons(*sizes, most=most)
    for name, neurons in run.items():
        neurons.spikes = spikes.get(name, neurons.spikes)
    deliver = [stepwise_fixed(q) if fixed else partial(weighted_sums_float, q.weights) for q in inner]
    with np.errstate(invalid="ignore"):  # of what one wrap leaves beyond 32 bits
        for t in range(program.steps):
            for p in part:
                a = arriving[p.name][..., t, :]
                for q, sums_of in zip(inner, deliver, strict=True):
                    if q.target == p.name and t >= q.lag:
                        a = np.add(a, sums_of(run[q.source].spikes[..., t - q.lag, :]), dtype=np.float64)
                run[p.name].step(t, a)
    return {name: neurons.trace() for name, neurons in run.items()}


# --- float ------------------------------------------------------------------------------------------------------------


class FloatNeurons:
    """u = u (1 - du) + a;  v = v (1 - dv) + u + bias;  spike if v > vth;  v <- 0, with a row for every step.

    `items` is (B,) for a batch, whose rows are (B, T, n); u and v are kept where `states`.
    """

    def __init__(self, population: Population, steps: int, items: tuple[int, ...] = (), states: bool = True) -> None:
        self.population, self.states = population, states
        self.u, self.v = np.zeros((*items, population.size)), np.zeros((*items, population.size))
        self.spikes = np.empty((*items, steps, population.size), bool)
        kept = (*items, steps if states else 0, population.size)
        self.us, self.vs = np.empty(kept), np.empty(kept)

    def step(self, t: int, a: Array) -> None:
        """Step t, with what arrives (..., n); a bias behind a projection comes from the host, with it."""
        p = self.population
        late = p.depth > 0
        self.u = self.u * (1 - p.du) + (a + p.bias if late else a)
        self.v = self.v * (1 - p.dv) + self.u + (0.0 if late else p.bias)
        if p.hold and t:
            self.v[self.spikes[..., t - 1, :]] = 0
        fired = self.v > p.vth
        self.v[fired] = 0
        self.spikes[..., t, :] = fired
        if self.states:
            self.us[..., t, :], self.vs[..., t, :] = self.u, self.v

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

    `items` is (B,) for a batch, whose rows are (B, T, n); u and v are kept where `states`. They are whole numbers in
    float64, which holds every product of 24 bits and a decay exactly, and is several times faster than 64-bit integers.
    `most` is the largest magnitude that arrives, where it is known: overflows that it rules out are not looked for, and
    where it keeps every sum, and every product with a decay, below 2^24, float32 is exact and takes half the time.
    """

    def __init__(
        self,
        population: Population,
        steps: int,
        items: tuple[int, ...] = (),
        states: bool = True,
        *,
        most: float = np.inf,
    ) -> None:
        self.population, self.states = population, states
        self.spikes = np.empty((*items, steps, population.size), bool)
        kept = (*items, steps if states else 0, population.size)
        self.us, self.vs = np.empty(kept, np.int32), np.empty(kept, np.int32)
        self.wrapped, self.clipped = np.zeros(items, np.int64), np.zeros(items, np.int64)
        self.reach = reach(population, steps, most)
        self.kind = kind = np.float32 if self.reach.narrow else np.float64
        self.u, self.v = np.zeros((*items, population.size), kind), np.zeros((*items, population.size), kind)
        left_u, left_v = DECAY_ONE - np.asarray(population.du, np.int64) - 1, DECAY_ONE - np.asarray(population.dv)
        self.keep_u, self.keep_v = (left_u / DECAY_ONE).astype(kind), (left_v / DECAY_ONE).astype(kind)
        self.remembers, self.leaks = bool(left_u.any()), bool((left_v != DECAY_ONE).any())
        self.vth = (np.asarray(population.vth, np.int64) * 2.0**SHIFT).astype(kind)
        bias = population.bias.astype(kind) if population.bias.any() else None
        late = population.depth > 0
        self.late_bias = bias if late else None
        self.bias = None if late or bias is None else np.ldexp(bias, population.bias_exp)

    def step(self, t: int, a: Array) -> None:
        """Step t, with what arrives (..., n)."""
        a, u, v = a if self.late_bias is None else a + self.late_bias, self.u, self.v
        if self.remembers:
            u *= self.keep_u
            np.trunc(u, out=u)
            u += np.multiply(a, 2.0**SHIFT, dtype=self.kind, casting="same_kind")
        else:
            np.multiply(a, 2.0**SHIFT, out=u, dtype=self.kind, casting="same_kind")
        if self.reach.may_wrap and (u.max(initial=0) > HALF or u.min(initial=0) <= -HALF):
            over, under = u > HALF, u <= -HALF
            self.wrapped += np.count_nonzero(over | under, axis=-1)
            u -= 2 * HALF * over
            u += 2 * HALF * under
        if self.leaks:
            v *= self.keep_v
            np.trunc(v, out=v)
        v += u
        if self.bias is not None:
            v += self.bias
        if self.reach.may_clip and (v.max(initial=0) >= HALF or v.min(initial=0) <= -HALF):
            self.clipped += np.count_nonzero(np.abs(v) >= HALF, axis=-1)
            np.clip(v, -HALF + 1, HALF - 1, out=v)
        if self.population.hold and t:
            np.copyto(v, 0, where=self.spikes[..., t - 1, :])
        fired = np.greater(v, self.vth, out=self.spikes[..., t, :])
        np.multiply(v, ~fired, out=v)  # faster than a masked copy
        if self.states:
            self.us[..., t, :], self.vs[..., t, :] = u, v

    def trace(self) -> Trace:
        """All rows, and how often u wrapped and v was clipped."""
        wrapped, clipped = (int(n) if n.ndim == 0 else n for n in (self.wrapped, self.clipped))
        return Trace(self.spikes, self.us, self.vs, wrapped, clipped)


def step_fixed(population: Population, a: Array) -> Trace:
    """FixedNeurons for all steps of `a` (T, n)."""
    neurons = FixedNeurons(population, len(a))
    for t, arriving in enumerate(a):
        neurons.step(t, arriving)
    return neurons.trace()
