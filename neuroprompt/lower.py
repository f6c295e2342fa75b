"""From a NIR graph to the float program that Loihi and its simulators run: populations and projections."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.graph import Vector, chain, dt_of
from neuroprompt.program import Population, Program, Projection


def lower(graph: nir.NIRGraph, steps: int) -> Program:
    """The float program of a chain of linear nodes and neurons.

    IF    v <- v + r I                                     dv = 0,       weights r W,         bias r b
    LIF   v <- (1 - dt/tau) v + (v_leak + r I) dt/tau      dv = dt/tau,  weights r dv W,      bias dv (v_leak + r b)

    with I = W x + b and du = 1 (no memory in u). Linear nodes in a row are multiplied out; neurons without weights
    before them are driven one to one; weights that are all 0 leave the bias alone, and no projection. Raises
    Unsupported, naming the node, where a population cannot hold it.
    """
    if steps < 1:
        raise BadSetting(f"steps {steps}", "at least 1 time step")
    nodes = chain(graph)
    source, depth = "input", 0
    size = inputs = int(np.prod(nodes[0][1].input_type["input"]))
    weights: Vector | None = None  # None: the identity
    bias: Vector = np.zeros(size)
    populations: list[Population] = []
    projections: list[Projection] = []
    for name, node in nodes:
        if isinstance(node, (nir.Affine, nir.Linear)):
            w = node.weight.astype(np.float64)
            weights = w if weights is None else w @ weights
            bias = w @ bias
            if isinstance(node, nir.Affine):
                bias = bias + node.bias.reshape(-1)
        elif isinstance(node, (nir.IF, nir.LIF)):
            dv, gain, offset, vth = _neuron(name, node, dt_of(graph))
            size = gain.size
            w = gain if weights is None else gain[:, None] * weights
            driven = bool(np.any(w != 0))
            depth = depth + 1 if driven else 0
            if driven:
                projections.append(Projection(source, name, w))
            populations.append(Population(name, size, 1.0, dv, vth, gain * bias + offset, depth=depth))
            source, weights, bias = name, None, np.zeros(size)
    if not populations or weights is not None:
        raise Unsupported("the graph does not end in neurons", "IF or LIF as the last node before Output")
    return Program("float", steps, inputs, tuple(populations), tuple(projections))


def stimulus(program: Program) -> NDArray[np.float64]:
    """Inputs (T, n_in) to try a program with: zeros where nothing listens to them, else seeded spikes, half of them."""
    shape = (program.steps, program.inputs)
    if all(p.source != "input" for p in program.projections):
        return np.zeros(shape)
    return (np.random.default_rng(0).random(shape) < 0.5).astype(np.float64)


def takes_numbers(program: Program) -> bool:
    """Whether the input lines may carry any number: all of them drive neurons one to one."""
    listening = [p for p in program.projections if p.source == "input"]
    return bool(listening) and all(p.one_to_one for p in listening)


def _neuron(name: str, node: Any, dt: float) -> tuple[float, Vector, Vector, float]:
    """Leak per step, gain on I, constant offset, threshold."""
    if np.any(node.v_reset != 0):
        raise Unsupported(f"node {name!r} resets to {node.v_reset.flat[0]}", "v_reset = 0, the only one that Loihi has")
    vth = _same(name, "v_threshold", node.v_threshold)
    if vth < 0:
        raise Unsupported(f"node {name!r} has v_threshold = {vth}", "at least 0, as Loihi has it")
    r = node.r.reshape(-1).astype(np.float64)
    if isinstance(node, nir.IF):
        return 0.0, r, np.zeros(r.size), vth
    leak = dt / _same(name, "tau", node.tau)
    if leak > 1:
        raise Unsupported(f"node {name!r} has tau = {dt / leak} s", f"at least one time step of {dt} s")
    return leak, r * leak, node.v_leak.reshape(-1) * leak, vth


def _same(name: str, key: str, values: Vector) -> float:
    low, high = float(values.min()), float(values.max())
    if low != high:
        raise Unsupported(f"node {name!r} has {key} from {low} to {high}", "one value for the whole node")
    return low
