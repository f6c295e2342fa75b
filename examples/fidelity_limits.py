"""Loihi's arithmetic with some of its limits lifted: which of them stands between the integers and float."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from neuroprompt.loihi.arithmetic import DECAY_ONE, HALF, SHIFT, cycles, simulate
from neuroprompt.spiking.program import Population, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

UNIT = 2.0**SHIFT
"""Steps of u and v in one unit of weight: what sums of synapses and thresholds are shifted by."""
LIMITS = {
    "weights": "weights in whole units, of at most 16 bits",
    "threshold": "thresholds in whole units, of 17 bits",
    "shift": "sums, thresholds and biases shifted left by 6 bits",
    "decays": "decays of 12 bits",
    "truncation": "products with decays cut off to whole numbers",
    "ends": "u and v of 24 bits",
}


class Lifted:
    """A fitted model without the limits `lifted`, some of LIMITS; without any lifted it is the chip, bit by bit.

    Everything is in units of weight, as floats that are whole multiples of a 64th where the chip's are:

        u = cut(u keep_u) + sum of lists;  v = cut(v keep_v) + u + bias;  spike if v > vth;  v <- 0
    """

    def __init__(self, model: SpikingModel, lifted: Collection[str] = ()) -> None:
        self.floats, self.fixed, self.lifted = model.float_program, model.fixed_program, set(lifted)
        assert self.lifted <= LIMITS.keys()
        self.scale = {name: float(report["scale"]) for name, report in model.scale_report["populations"].items()}
        self.float_population = {p.name: p for p in self.floats.populations}

    def run(self, inputs: Any) -> dict[str, Any]:
        """The spikes (B, T, n) of every population on inputs (B, T, n_in)."""
        emitted: dict[str, Any] = {"input": self.fixed.encode(inputs).astype(float)}
        for part in cycles(self.fixed):
            arriving = {p.name: self._arriving(p, emitted) for p in part}
            inner = [q for p in part for q in self._into(p.name) if q.source in arriving]
            emitted |= self._stepped(part, inner, arriving)
        return {p.name: emitted[p.name].astype(bool) for p in self.fixed.populations}

    def _into(self, name: str) -> list[Projection]:
        """The chip's lists, or the float projections they stand for."""
        return (self.floats if self.lifted & {"weights", "shift"} else self.fixed).into(name)

    def _delivered(self, q: Projection, sent: Any) -> Any:
        if not self.lifted & {"weights", "shift"}:
            sums = q.weights.apply(sent) * 2.0**q.exponent
            return np.floor(sums) if q.exponent < 0 else sums
        factor = self.scale[q.target]
        if q.source == "input" and self.fixed.input_scale:
            factor /= self.fixed.input_scale
        exact = q.weights.values * factor
        values = exact if "weights" in self.lifted else np.rint(exact * UNIT) / UNIT
        return q.weights.with_values(values).apply(sent)

    def _arriving(self, p: Population, emitted: dict[str, Any]) -> Any:
        items, steps = emitted["input"].shape[:2]
        a = np.zeros((items, steps, p.size))
        for q in self._into(p.name):
            if q.source in emitted:
                a[:, q.lag :] += self._delivered(q, emitted[q.source][:, : steps - q.lag])
        for onset, values in self.float_population[p.name].currents if "shift" in self.lifted else p.currents:
            a[:, onset:] += self._fine(values * self.scale[p.name]) if "shift" in self.lifted else values
        return a

    def _fine(self, values: Any) -> Any:
        return np.rint(values * UNIT) / UNIT

    def _stepped(self, part: list[Population], inner: list[Projection], arriving: dict[str, Any]) -> dict[str, Any]:
        neurons = {p.name: _Neurons(self, p, arriving[p.name].shape) for p in part}
        for t in range(self.fixed.steps):
            for p in part:
                a = arriving[p.name][:, t]
                for q in inner:
                    if q.target == p.name and t >= q.lag:
                        a = a + self._delivered(q, neurons[q.source].spikes[:, t - q.lag].astype(float))
                neurons[p.name].step(t, a)
        return {name: each.spikes.astype(float) for name, each in neurons.items()}


def float_behind_the_chip(model: SpikingModel, inputs: Any) -> dict[str, Any]:
    """The spikes (B, T, n) of every population in float, behind what the chip's integers send: what it inherits."""
    floats = model.float_program
    chip = {name: trace.spikes for name, trace in simulate(model.fixed_program, inputs).items()}
    sent = {"input": inputs} | {name: spikes.astype(float) for name, spikes in chip.items()}
    spikes = {}
    for p in floats.populations:
        into = floats.into(p.name)
        sources = list(dict.fromkeys(q.source for q in into if q.source != p.name))
        first = dict(zip(sources, np.cumsum([0, *(sent[name].shape[-1] for name in sources)]), strict=False))
        lines = np.concatenate([sent[name] for name in sources], axis=-1)
        projections = [q for q in into if q.source == p.name]
        for q in into:
            if q.source != p.name:
                rows = np.zeros((p.size, lines.shape[-1]))
                rows[:, first[q.source] : first[q.source] + sent[q.source].shape[-1]] = q.weights.dense()
                projections.append(replace(q, source="input", weights=Weights(rows)))
        alone = replace(floats, inputs=lines.shape[-1], populations=(p,), projections=tuple(projections))
        spikes[p.name] = simulate(alone, lines)[p.name].spikes
    return spikes


class _Neurons:
    """The states of one population."""

    def __init__(self, of: Lifted, p: Population, shape: tuple[int, ...]) -> None:
        floats, scale, self.lifted = of.float_population[p.name], of.scale[p.name], of.lifted
        self.late = p.depth > 0
        self.u, self.v, self.spikes = np.zeros((shape[0], p.size)), np.zeros((shape[0], p.size)), np.zeros(shape, bool)
        exact = "decays" in self.lifted
        self.keep_u = 1 - np.asarray(floats.du) if exact else (DECAY_ONE - np.asarray(p.du) - 1) / DECAY_ONE
        self.keep_v = 1 - np.asarray(floats.dv) if exact else (DECAY_ONE - np.asarray(p.dv)) / DECAY_ONE
        self.bias = np.asarray(p.bias) * (1.0 if self.late else 2.0**p.bias_exp / UNIT)
        self.vth = np.asarray(p.vth, float)
        if "shift" in self.lifted:
            self.bias = of._fine(np.asarray(floats.bias) * scale)
        if "shift" in self.lifted and p.emits == "spikes":
            self.vth = np.floor(np.asarray(floats.vth) * scale * UNIT) / UNIT
        if "threshold" in self.lifted and p.emits == "spikes":
            self.vth = np.asarray(floats.vth) * scale
        self.emits = p.emits

    def _cut(self, values: Any) -> Any:
        return values if "truncation" in self.lifted else np.trunc(values * UNIT) / UNIT

    def step(self, t: int, a: Any) -> None:
        """Step t, with what arrives (B, n)."""
        end = HALF / UNIT
        self.u = self._cut(self.u * self.keep_u) + a + (self.bias if self.late else 0.0)
        if "ends" not in self.lifted:
            self.u = self.u - 2 * end * (self.u > end) + 2 * end * (self.u <= -end)
        self.v = self._cut(self.v * self.keep_v) + self.u + (0.0 if self.late else self.bias)
        if "ends" not in self.lifted:
            self.v = np.clip(self.v, -end + 1 / UNIT, end - 1 / UNIT)
        self.spikes[:, t] = self.v > self.vth
        self.v[self.spikes[:, t]] = 0
