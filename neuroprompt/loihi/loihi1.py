"""Loihi 1's arithmetic where it differs from Lava's: sums of synapses that wrap, as nengo-loihi found on silicon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.loihi.arithmetic import DECAY_ONE, HALF, SHIFT, cycles
from neuroprompt.loihi.neurons import Trace
from neuroprompt.loihi.synapses import stepwise_fixed
from neuroprompt.spiking.program import Population, Program

Array = NDArray[Any]

SUM_BITS = 21
"""What the sum of a step has beside its sign, after the shift by 6 (nengo-loihi 1.1.0, builder/discretize.py, Q_BITS;
its test_uv_overflow compared it with the chip)."""
CURRENT_BITS = 23


def simulate_loihi1(program: Program, sent: Array) -> dict[str, Trace]:
    """Run a fixed program whose lines carry the spikes `sent` (T, n_in): plain, step by step.

        q = wrap21(a << 6);  u = wrap23(trunc0(u (4096 - du - 1) / 4096) + q)
        v = clip(trunc0(v (4096 - dv) / 4096) + wrap23(u + bias), -(2^23 - 1), 2^23 - 1);  spike if v > (vth << 6)

    where wrap21 and wrap23 keep so many bits and a sign. `wrapped` counts all that wrapped. The rest is as in
    `neuroprompt.loihi.arithmetic`.
    """
    order = [p for part in cycles(program) for p in part]
    into = {p.name: [(q, stepwise_fixed(q)) for q in program.into(p.name)] for p in order}
    neurons = {p.name: _Neurons(p, program.steps) for p in order}
    emitted = {"input": sent} | {name: each.spikes for name, each in neurons.items()}
    for t in range(program.steps):
        for p in order:
            a = np.zeros(p.size, np.int64)
            for q, delivered in into[p.name]:
                if t >= q.lag:
                    a += delivered(emitted[q.source][t - q.lag]).astype(np.int64)
            for onset, values in p.currents:
                a += values if t >= onset else 0
            neurons[p.name].step(t, a)
    return {p.name: neurons[p.name].trace() for p in program.populations}


def stacked(items: Sequence[Mapping[str, Trace]]) -> dict[str, Trace]:
    """The traces of single runs as those of a batch."""

    def together(name: str, key: str) -> Any:
        return np.stack([getattr(item[name], key) for item in items])

    keys = ("spikes", "u", "v", "wrapped", "clipped")
    return {name: Trace(*(together(name, key) for key in keys)) for name in items[0]}


class _Neurons:
    """The neurons of a population, with a row for every step."""

    def __init__(self, population: Population, steps: int) -> None:
        shape = (steps, population.size)
        self.population = population
        self.u, self.v = np.zeros(population.size, np.int64), np.zeros(population.size, np.int64)
        self.us, self.vs, self.spikes = np.empty(shape, np.int32), np.empty(shape, np.int32), np.zeros(shape, bool)
        self.wrapped = self.clipped = 0

    def step(self, t: int, a: Array) -> None:
        p = self.population
        bias = p.bias.astype(np.int64) << (0 if p.depth else p.bias_exp)
        q = self._wrap((a + bias if p.depth else a) << SHIFT, SUM_BITS)
        self.u = self._wrap(_towards_0(self.u * (DECAY_ONE - 1 - np.asarray(p.du, np.int64))) + q, CURRENT_BITS)
        driven = self.u if p.depth else self._wrap(self.u + bias, CURRENT_BITS)
        summed = _towards_0(self.v * (DECAY_ONE - np.asarray(p.dv, np.int64))) + driven
        v = np.clip(summed, 1 - HALF, HALF - 1)
        self.clipped += int(np.count_nonzero(summed != v))
        if p.hold and t:
            v[self.spikes[t - 1]] = 0
        fired = v > (np.asarray(p.vth, np.int64) << SHIFT)
        v[fired] = 0
        self.v = v
        self.us[t], self.vs[t], self.spikes[t] = self.u, v, fired

    def trace(self) -> Trace:
        return Trace(self.spikes, self.us, self.vs, self.wrapped, self.clipped)

    def _wrap(self, x: Array, bits: int) -> Array:
        half = 1 << bits
        kept: Array = (x + half) % (2 * half) - half
        self.wrapped += int(np.count_nonzero(kept != x))
        return kept


def _towards_0(products: Array) -> Array:
    """A product over 4096, rounded towards 0."""
    return np.asarray(np.sign(products) * (np.abs(products) // DECAY_ONE))
