"""Backward: the gradient of an integer population whose resets its float twin decides, straight through its rounding.

With these resets a potential is linear in weights and biases between two spikes, but for what is rounded, so that one
wrong spike does not change what is learned from the steps after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.fit import Task
from neuroprompt.loihi.arithmetic import DECAY_ONE, SHIFT, Array
from neuroprompt.loihi.neurons import FixedNeurons
from neuroprompt.spiking.program import Population
from neuroprompt.spiking.weights import Weights, as_rows

NEVER = 2**60
"""A threshold that no potential meets."""
NEAR_NUMBERS = 2**22
"""Of products of steps and synapses that are made at a time."""


def teacher_potentials(task: Task) -> Array:
    """v of the float twin before its resets, (B, T, n)."""
    p, shape = task.population, (task.runs, task.steps, -1)
    u, v, fired = (values.reshape(shape) for values in (task.wanted.u, task.wanted.v, task.wanted.spikes))
    potentials = u + (0.0 if p.depth else p.bias)
    potentials[:, 1:] += v[:, :-1] * (1 - np.asarray(p.dv))
    if p.hold:
        potentials[:, 1:][fired[:, :-1]] = 0
    return np.asarray(potentials)


def forced_potentials(population: Population, a: Array, resets: Array) -> Array:
    """v of the integers before its resets, which come where `resets` says, for sums a (B, T, n) that arrive."""
    neurons = FixedNeurons(replace(population, vth=NEVER), a.shape[1], a.shape[:1])
    for t in range(a.shape[1]):
        neurons.step(t, a[:, t])
        neurons.v[resets[:, t]] = 0
        neurons.spikes[:, t] = resets[:, t]  # where a neuron holds, the next step looks at them
    return np.asarray(neurons.vs)


@dataclass(frozen=True)
class Gradient:
    """dL/da (B, T, n) of what arrives, and dL/d bias (n,) of a bias that joins v at once, both in weight units."""

    of_sums: NDArray[np.float64]
    of_bias: NDArray[np.float64]


def back_through_time(population: Population, of_v: Array, resets: Array) -> Gradient:
    """From dL/dv (B, T, n), of v before resets, in 64ths.

    dL/dv' is dL/dv and, but after a reset, what the next step's v' keeps of it;
    dL/da = 64 sum_k keep_u^k dL/dv'[t + k].
    """
    keep_v = (DECAY_ONE - np.asarray(population.dv, np.float64)) / DECAY_ONE
    keep_u = (DECAY_ONE - np.asarray(population.du, np.float64) - 1) / DECAY_ONE
    of_sums = np.empty_like(of_v)
    whole_v, whole_u = np.zeros_like(of_v[:, 0]), np.zeros_like(of_v[:, 0])
    of_bias = np.zeros(population.size)
    for t in range(of_v.shape[1] - 1, -1, -1):
        whole_v = of_v[:, t] + np.where(resets[:, t], 0, keep_v * whole_v)
        if population.hold and t:
            whole_v[resets[:, t - 1]] = 0
        whole_u = whole_v + keep_u * whole_u
        of_sums[:, t] = whole_u
        of_bias += whole_v.sum(axis=0)
    return Gradient(of_sums * 2.0**SHIFT, of_bias * 2.0**SHIFT)


def of_weights(weights: Weights, of_sums: Array, sent: Array) -> Array:
    """dL/dW_ij = sum over steps of dL/da_i x_j, in the order of the weights' values."""
    a, x = (as_rows(values).astype(np.float32) for values in (of_sums, sent))
    if weights.is_one_to_one:
        return np.asarray((a * x).sum(axis=0))
    if weights.is_dense:
        return np.asarray(a.T @ x)
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.raw.indptr))
    a, x = np.ascontiguousarray(a.T), np.ascontiguousarray(x.T)
    gradient = np.empty(len(rows), np.float32)
    many = max(1, NEAR_NUMBERS // a.shape[1])
    for i in range(0, len(rows), many):
        part = slice(i, i + many)
        gradient[part] = np.einsum("ek,ek->e", a[rows[part]], x[weights.raw.indices[part]])
    return gradient
