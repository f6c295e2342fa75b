"""How far two simulators of one spiking program may lie apart in float64 while they fire alike: a running error bound.

Each step rounds at most FEW numbers more than its sum has terms: the weights, which were multiplied with tau, r and the
time step; the decays, the bias, the sums and the products. So the errors E of u and of v follow the neuron's own
recursion (Higham, section 3.3, running error analysis), with sums of absolute values in place of the values:

    E_u[t] = |1 - du| E_u[t-1] + gamma_n (|u[t-1]| + |a[t]|)
    E_v[t] = |1 - dv| E_v[t-1] + E_u[t] + gamma_n (|v[t-1]| + |u[t]| + |bias|)

|u|, |v| and |a| being the recursion of absolute weights. A spike ends it: v is v_reset. Where it takes the threshold
off instead, it goes on: |v| grows by vth, and E_v by gamma_n (|v| + vth). Two simulators lie
apart by twice E at most.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
from float_bounds import gamma
from numpy.typing import NDArray

from neuroprompt.spiking.program import Population, Program, Projection

Floats = NDArray[np.float64]
FEW = 16


def absolute(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph with the absolute values of all weights and biases: what bounds the sums of a chain of linear nodes."""
    positive = copy.deepcopy(graph)
    for node in positive.nodes.values():
        if isinstance(node, nir.NIRGraph):
            node.nodes = absolute(node).nodes
        for name in ("weight", "bias", "scale", "v_leak", "v_reset"):
            if getattr(node, name, None) is not None:
                setattr(node, name, np.abs(getattr(node, name)))
    return positive


def apart(program: Program, inputs: Any, spikes: Mapping[str, Any]) -> dict[str, Floats]:
    """The bound of every population's v, and of what it emits if that is v: (..., T, n), for inputs (..., T, n_in).

    `spikes` are those of the populations that fire, equal on both sides. `program` may hold absolute weights.
    """
    sent: dict[str, Floats] = {"input": np.abs(np.asarray(inputs, dtype=np.float64))}
    sent |= {name: np.asarray(values, dtype=np.float64) for name, values in spikes.items()}
    errors = {p.name: np.zeros((*sent["input"].shape[:-1], p.size)) for p in program.populations}
    sent |= {p.name: errors[p.name].copy() for p in program.populations if p.name not in spikes}
    terms = program.inputs + sum(p.size for p in program.populations)  # no sum has more
    share = gamma(4 * terms + FEW)  # and no chain more than four sums
    rest = {p.name: [np.zeros((*sent["input"].shape[:-2], p.size)) for _ in range(4)] for p in program.populations}
    for t in range(sent["input"].shape[-2]):
        for p in program.populations:
            u, v, of_u, of_v = rest[p.name]
            a, of_a = _arriving(program, p, t, sent, errors)
            decay_u, decay_v, bias = (np.abs(x) for x in (1 - np.asarray(p.du), 1 - np.asarray(p.dv), p.bias))
            of_u = decay_u * of_u + of_a + share * (u + a)
            u = decay_u * u + a
            of_v = decay_v * of_v + of_u + share * (v + u + bias)
            v = decay_v * v + u + bias
            if p.emits == "v":
                sent[p.name][..., t, :], errors[p.name][..., t, :] = v, of_v
            else:
                fired = sent[p.name][..., t, :] > 0
                if p.reset == "value":
                    v, of_v = np.where(fired, np.abs(p.v_reset), v), np.where(fired, share * np.abs(p.v_reset), of_v)
                else:  # one more rounding, of a difference whose terms are v and vth, and of vth itself
                    v, of_v = v + fired * np.abs(p.vth), of_v + fired * share * (v + np.abs(p.vth))
                errors[p.name][..., t, :] = of_v
            rest[p.name] = [u, v, of_u, of_v]
    return {name: 2 * error for name, error in errors.items()}


def _arriving(
    program: Program, p: Population, t: int, sent: Mapping[str, Floats], errors: Mapping[str, Floats]
) -> tuple[Any, Any]:
    """The sum of absolute values that drives a population in step t, and the error that its sources carry in."""
    a: Any = sum((np.abs(values) for onset, values in p.currents if onset <= t), np.zeros(p.size))
    of_a: Any = np.zeros(p.size)
    graded = {other.name for other in program.populations if other.emits == "v"}
    for q in program.into(p.name):
        if t >= q.lag:
            a = a + _through(q, sent[q.source][..., t - q.lag, :])
            if q.source in graded:  # spikes are equal, and so is the input
                of_a = of_a + _through(q, errors[q.source][..., t - q.lag, :])
    return a, of_a


def _through(q: Projection, line: Floats) -> Any:
    """|W| x of lines (..., n_in)."""
    sizes = q.weights.with_values(np.abs(q.weights.values))
    return sizes.apply(line.reshape(-1, line.shape[-1])).reshape(*line.shape[:-1], -1)
