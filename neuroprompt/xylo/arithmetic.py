"""Xylo's integers in numpy, as xylosim 0.1.3 computes them for a XyloAudio 2 (its module v2): step by step, bit by bit.

A fixed program with chip "xylo" holds them: du and dv are the bits by which a state is shifted ("dashes"), vth the
threshold, bias the bias, and a projection's exponent the bits by which the weights of its kind are shifted left.

    dec(x, dash) = x >> dash, and the sign of x where that is 0
    i <- i + W n, saturating at each spike, in the order of the lines;  i <- i - dec(i, du)
    v <- v + (-dec(v, dv) + i + bias), saturating at each sum
    n = v // vth spikes where v >= vth, at most 31, and 1 of a readout;  v <- v - n vth

i and v have 16 bits. Spikes of neurons arrive a step later, those of the input lines at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

Array = NDArray[Any]
LEAST, MOST = -(2**15), 2**15 - 1
SPIKES, OF_READOUT = 31, 1
"""Spikes of a neuron in a step, at most; of a readout."""
READOUTS = 8


@dataclass(frozen=True)
class Trace:
    """What one population did: how often each neuron fired in each step, i and v after it, all (..., T, n)."""

    counts: Array
    i: Array
    v: Array

    def split(self, parts: int) -> list[Trace]:
        """That of each of as many equal parts of the neurons."""
        return [
            Trace(*arrays) for arrays in zip(*(np.split(x, parts, axis=-1) for x in vars(self).values()), strict=True)
        ]


def simulate(program: Program, sent: Array) -> dict[str, Trace]:
    """Run a program with Xylo's integers from rest on spikes (T, n_in), or on each of a batch (B, T, n_in).

    Rows are the graph's steps: a population's depth in the chip's is taken out.
    """
    batch = (sent if sent.ndim == 3 else sent[None]).astype(np.int64)
    order = ["input", *(p.name for p in program.populations)]
    last_layer = readouts(program)
    into = {
        p.name: [
            (q.source, Synapses(q)) for q in sorted(program.into(p.name), key=lambda each: order.index(each.source))
        ]
        for p in program.populations
    }
    neurons = {
        p.name: Neurons(p, len(batch), OF_READOUT if p.name in last_layer else SPIKES) for p in program.populations
    }
    rows: dict[str, list[tuple[Array, Array, Array]]] = {p.name: [] for p in program.populations}
    before = {p.name: np.zeros((len(batch), p.size), np.int64) for p in program.populations}
    for step in range(program.steps + program.depth):
        lines = batch[:, step] if step < program.steps else np.zeros_like(batch[:, 0])
        emitted = {"input": lines, **before}
        for p in program.populations:
            before[p.name] = neurons[p.name].step([(synapses, emitted[name]) for name, synapses in into[p.name]])
            if p.depth <= step < p.depth + program.steps:
                rows[p.name].append((before[p.name], neurons[p.name].i, neurons[p.name].v))
    return {
        name: trace if sent.ndim == 3 else Trace(trace.counts[0], trace.i[0], trace.v[0])
        for name, trace in ((p.name, trace_of(rows[p.name])) for p in program.populations)
    }


def readouts(program: Program) -> set[str]:
    """The populations that become the chip's readouts: at most 8 neurons that hear hidden ones, and that none hears."""
    sources = {q.source for q in program.projections}
    heard = {p.name: {q.source for q in program.into(p.name)} for p in program.populations}
    last = [p for p in program.populations if p.name not in sources and heard[p.name] and "input" not in heard[p.name]]
    return {p.name for p in last} if sum(p.size for p in last) <= READOUTS else set()


def trace_of(rows: Sequence[tuple[Array, Array, Array]]) -> Trace:
    """The rows of all steps, (B, n) each, as a Trace (B, T, n)."""
    return Trace(*(np.stack(arrays, axis=1) for arrays in zip(*rows, strict=True)))


class Synapses:
    """The weights of a projection, shifted, which arrive at i."""

    def __init__(self, projection: Projection) -> None:
        raw = projection.weights
        # In float64, whose sums of such whole numbers are exact, and whose products are several times faster.
        self.weights = raw.with_values(raw.values.astype(np.float64) * 2**projection.exponent)
        self.sizes = self.weights.with_values(np.abs(self.weights.values))

    def deliver(self, i: Array, spikes: Array) -> Array:
        """i (B, n) after the spikes (B, lines) of a step."""
        if not spikes.any():
            return i
        if (np.abs(i) + self.sizes.apply(spikes.astype(np.float64))).max(initial=0) <= MOST:
            return i + self.weights.apply(spikes.astype(np.float64)).astype(np.int64)
        columns = self.weights.cached(_columns)
        for line in np.flatnonzero(spikes.any(axis=0)):
            for k in range(spikes[:, line].max()):
                i = np.where(spikes[:, line, None] > k, saturated(i + columns[line]), i)
        return i


class Neurons:
    """The neurons of a population, from rest, for a batch of B."""

    def __init__(self, population: Population, items: int, most: int) -> None:
        self.dash_syn, self.dash_mem, self.vth = (
            np.asarray(values, np.int64) for values in (population.du, population.dv, population.vth)
        )
        self.bias, self.most = population.bias.astype(np.int64), most
        self.i = self.v = np.zeros((items, population.size), np.int64)

    def step(self, arriving: Sequence[tuple[Synapses, Array]]) -> Array:
        """How often they fire (B, n), with the spikes (B, lines) that arrive, in the order of the lines."""
        i = self.i
        for synapses, spikes in arriving:
            i = synapses.deliver(i, spikes)
        self.i = i - dec(i, self.dash_syn)
        change = (-dec(self.v, self.dash_mem)).astype(np.int16).astype(np.int64)  # -(-2^15) wraps
        v = saturated(self.v + saturated(saturated(change + self.i) + self.bias))
        fired = np.clip(v // self.vth, 0, self.most)
        self.v = v - fired * self.vth
        return fired


def dec(x: Array, dash: Array) -> Array:
    """By how much a state decays in a step."""
    shifted = x >> dash
    return np.where(shifted == 0, np.sign(x), shifted)


def saturated(x: Array) -> Array:
    """x in 16 bits."""
    return np.clip(x, LEAST, MOST)


def _columns(weights: Weights) -> Array:
    return weights.dense().T.astype(np.int64)
