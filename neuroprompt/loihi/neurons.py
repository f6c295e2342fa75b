"""Loihi's neurons in numpy: Lava 0.10.0's rules for LIF, float and bit-accurate, for single runs and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.loihi.reach import DECAY_ONE, HALF, SHIFT, magnitude, reach
from neuroprompt.spiking.program import Population

Array = NDArray[Any]


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

    @classmethod
    def joined(cls, parts: Sequence[Trace], spikes: Array) -> Trace:
        """Traces of a batch's items one after the other, whose spikes stand in `spikes` already."""
        if len(parts) == 1:
            return parts[0]

        def together(key: str) -> Any:
            arrays = [getattr(p, key) for p in parts]
            return np.concatenate(arrays) if np.ndim(arrays[0]) else 0  # float neurons do not overflow

        return cls(spikes, together("u"), together("v"), together("wrapped"), together("clipped"))


class FloatNeurons:
    """u = u (1 - du) + a;  v = v (1 - dv) + u + bias;  spike if v > vth;  v <- 0, with a row for every step.

    Or, as the population's reset says, v <- v - vth, or v = v (1 - dv) + u + bias - vth in the step after a spike.
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
        if p.reset == "late" and t:
            self.v -= np.where(self.spikes[..., t - 1, :], p.vth, 0.0)
        fired = self.v > p.vth
        if p.reset == "value":
            self.v[fired] = 0
        elif p.reset == "subtract":
            self.v -= np.where(fired, p.vth, 0.0)
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
        self.stays = np.empty_like(self.v)  # 1.0 where a neuron did not fire
        self.farthest = 0.0  # what |v| is not beyond

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
        self.farthest += self.reach.rise
        if self.reach.may_clip and self.farthest >= HALF:
            self._clip()
        if self.population.hold and t:
            np.copyto(v, 0, where=self.spikes[..., t - 1, :])
        fired = np.greater(v, self.vth, out=self.spikes[..., t, :])
        np.logical_not(fired, out=self.stays, casting="unsafe")
        v *= self.stays  # faster than a masked copy
        if self.states:
            self.us[..., t, :], self.vs[..., t, :] = u, v

    def _clip(self) -> None:
        """Clip v, which may have got that far, and see how far it really got."""
        v = self.v
        self.farthest = magnitude(v)
        if self.farthest >= HALF:
            self.clipped += np.count_nonzero(np.abs(v) >= HALF, axis=-1)
            np.clip(v, -HALF + 1, HALF - 1, out=v)
            self.farthest = HALF - 1

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
