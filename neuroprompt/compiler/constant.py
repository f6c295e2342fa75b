"""Neurons under a constant current: a bias is right exactly where it gives the same period."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.fit import Fitted, Task, integer_decays
from neuroprompt.loihi.arithmetic import MANTISSA, SHIFT, Array
from neuroprompt.loihi.neurons import Trace, step_fixed


def fit_constant(task: Task) -> Fitted:
    """Neurons under a constant current fire every k steps, so a bias is right exactly where it has the same k.

    The first spike of all 8192 biases is simulated at once; it never comes later for a larger bias, so the biases of
    period k are an interval, and the neuron takes the one nearest to P s. Without leak that interval is
    theta/k < b <= theta/(k-1): none is empty for theta >= T (T-1), so at theta = 4092 the fit is exact up to T = 64.
    """
    population, spikes, steps = task.population, task.wanted.spikes[: task.steps], task.steps
    threshold = float(population.vth)
    period = _first(spikes)
    mantissas = np.arange(MANTISSA[0], MANTISSA[1] + 1, dtype=np.int32)
    best: Fitted | None = None
    # Thresholds above 4094 leave no bias that fires at once: for long runs of slow neurons only.
    for vth in (4092, 4094, *(4094 * 2**j for j in range(1, 6))):
        fixed = replace(integer_decays(population), vth=vth, bias_exp=SHIFT)
        ladder = replace(fixed, size=mantissas.size, bias=mantissas)
        periods = _first(step_fixed(ladder, np.zeros((steps, mantissas.size), np.int64)).spikes)
        high = np.searchsorted(-periods, -period, side="right") - 1
        low = np.minimum(np.searchsorted(-periods, -period, side="left"), mantissas.size - 1)
        scale = vth / threshold if threshold > 0 else float(vth)
        near = np.clip(np.ceil(population.bias * scale), *MANTISSA)
        reachable = (high >= 0) & (periods[high] == period)
        bias = np.where(reachable, np.clip(near, mantissas[low], mantissas[high]), near).astype(np.int32)
        fixed = replace(fixed, bias=bias)
        trace = step_fixed(fixed, np.zeros(spikes.shape, np.int64))
        fitted = Fitted(fixed, (), trace, scale, float((trace.spikes == spikes).mean()), int((~reachable).sum()))
        best = fitted if best is None or fitted.match > best.match else best
        if fitted.match == 1.0:
            break
    assert best is not None
    once = best.trace
    fired, u, v = (np.tile(values, (task.runs, 1)) for values in (once.spikes, once.u, once.v))
    return replace(best, trace=Trace(fired, u, v, once.wrapped, once.clipped))


def _first(spikes: Array) -> NDArray[np.int64]:
    """The step (from 1) of every neuron's first spike; T + 1 where it has none."""
    return np.where(spikes.any(axis=0), spikes.argmax(axis=0) + 1, len(spikes) + 1)
