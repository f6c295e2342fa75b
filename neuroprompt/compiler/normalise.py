"""Normalise: a flat graph as a float program; every linear node between neurons is multiplied out.

What arrives at a node is a sum over (source, lag) of W x_source[t - lag], and of biases that begin at a step. A
linear node multiplies all of it, a Delay moves lags and onsets, a neuron ends it and begins anew: so Affine, Scale,
Conv, Pool, Flatten and Delay, in any order and with any joins, come to one projection for every (source, lag).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, issparse

from neuroprompt.compiler.check import FIRING, MOST_SYNAPSES, NEURONS
from neuroprompt.compiler.conventions import Reading
from neuroprompt.compiler.flatten import Flat, FlatNode
from neuroprompt.compiler.linear import identity, matrix_of
from neuroprompt.errors import BadGraph, BadSetting, Unsupported
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

Vector = NDArray[Any]
INPUT = "input"
SMALLEST, LARGEST = 1e-100, 1e100
Key = tuple[str, int]
"""A source ("input" or a population) and a lag in steps."""


@dataclass(frozen=True)
class Signal:
    """sum over (source, lag) of W x_source[t - lag]  +  sum of the biases whose onset is at most t."""

    terms: dict[Key, Any] = field(default_factory=dict)
    biases: dict[int, Vector] = field(default_factory=dict)

    def plus(self, other: Signal) -> Signal:
        """The sum of both."""
        terms, biases = dict(self.terms), dict(self.biases)
        for key, matrix in other.terms.items():
            terms[key] = _sum(terms[key], matrix) if key in terms else matrix
        for onset, values in other.biases.items():
            biases[onset] = biases[onset] + values if onset in biases else values
        return Signal(terms, biases)

    def later(self, steps: int) -> Signal:
        """The same, `steps` later."""
        if not steps:
            return self
        terms = {(source, lag + steps): matrix for (source, lag), matrix in self.terms.items()}
        return Signal(terms, {onset + steps: values for onset, values in self.biases.items()})

    def through(self, name: str, matrix: Any, bias: Vector | None = None) -> Signal:
        """W times it, plus b; None is the identity, or no bias."""
        if matrix is None:
            return self
        terms = {key: _product(name, matrix, inner) for key, inner in self.terms.items()}
        biases = {onset: matrix @ values for onset, values in self.biases.items()}
        if bias is not None:
            biases[0] = biases[0] + bias if 0 in biases else bias
        return Signal(terms, biases)

    def delayed(self, steps: Vector) -> Signal:
        """Element i steps[i] later."""
        result = Signal()
        for step in np.unique(steps):
            only = diags((steps == step).astype(np.float64)).tocsr()
            result = result.plus(self.through("", only).later(int(step)))
        return result


def normalise(flat: Flat, steps: int) -> Program:
    """The float program of a flat graph, for `steps` steps, without chip delays (`schedule` adds them).

    With x what arrives at a node:

    IF, I             dv = 0                          a = r x
    LIF, LI           dv = dt/tau                     a = r dv x,        bias = dv v_leak
    CubaLIF, CubaLI   du = dt/tau_syn, dv = dt/tau_mem   a = r dv w_in du x,  bias = dv v_leak
    Threshold         dv = 1                          a = x              (du = 1, no memory, where not said)

    Other conventions have other shares and gains (`neuroprompt.compiler.conventions`), and other resets.

    I, LI and CubaLI never fire and emit their potential. An output that is no neuron's becomes a population without
    memory that never fires (v = x). Raises BadSetting, Unsupported.
    """
    if steps < 1:
        raise BadSetting(f"steps {steps}", "at least 1 time step")
    signals, readouts = _Signals(flat), flat.readouts
    populations: list[Population] = []
    projections: list[Projection] = []
    for node in flat.nodes:
        neurons = _neurons(node, flat.reading) if isinstance(node.node, NEURONS) else None
        if neurons is None and node in readouts:
            ones = np.ones(node.size)
            neurons = _Neurons(1.0, 1.0, np.inf, 0.0, ones, np.zeros(node.size), False)
        if neurons is None:
            continue
        arriving = signals.into(node)
        if node.name == INPUT:
            raise BadGraph(f"a node other than an Input is called {INPUT!r}", "another name")
        population = _reset(_population(node, neurons, arriving), flat.reading)
        drives_itself = any(source == node.name for source, _ in arriving.terms)
        holds = flat.reading.convention.holds and population.reset == "value"
        keeps = neurons.fires and not isinstance(node.node, nir.Threshold)
        if holds and keeps and (isinstance(node.node, nir.CubaLIF) or drives_itself):
            population = replace(population, hold=True)
        populations.append(population)
        for (source, lag), matrix in sorted(arriving.terms.items()):
            weights = Weights.best(matrix).scaled_rows(neurons.gain)
            _check_size(node.name, weights.values)
            if weights.values.any():
                projections.append(Projection(source, node.name, weights, lag))
    if not populations:
        raise Unsupported("the graph has neither neurons nor an output", "at least one")
    return Program("float", steps, flat.lines, tuple(populations), tuple(projections))


@dataclass(frozen=True)
class _Neurons:
    du: Any
    dv: Any
    vth: Any
    v_reset: Any
    gain: Vector
    bias: Vector
    fires: bool


def _neurons(flat: FlatNode, reading: Reading) -> _Neurons:
    node, convention, dt = flat.node, reading.convention, reading.dt

    def vector(key: str) -> Vector:
        return np.broadcast_to(np.asarray(getattr(node, key), np.float64), flat.shape).reshape(-1).copy()

    fires = isinstance(node, FIRING)
    threshold = isinstance(node, nir.Threshold)
    vth = vector("threshold" if threshold else "v_threshold") if fires else np.inf
    v_reset = vector("v_reset") if fires and not threshold else 0.0
    ones, zeros = np.ones(flat.size), np.zeros(flat.size)
    if threshold:
        return _Neurons(1.0, 1.0, _one(vth), 0.0, ones, zeros, fires)
    if isinstance(node, (nir.IF, nir.I)):
        gain = vector("r") * (dt if convention.if_gain == "r dt" else 1.0)
        return _Neurons(1.0, 0.0, _one(vth), _one(v_reset), gain, zeros, fires)

    def share(key: str) -> Vector:
        tau = vector(key) / (dt if convention.tau == "tau / dt" else 1.0)
        return np.minimum(dt / tau, 1.0) if convention.share == "euler" else -np.expm1(-dt / tau)

    def gain_of(rule: str, key: str, leak: Vector) -> Vector:
        return ones if rule == "1" else 1 - leak if rule == "rest" else vector(key) * leak

    cuba = isinstance(node, (nir.CubaLIF, nir.CubaLI))
    dv = share("tau_mem" if cuba else "tau")
    rule = convention.mem_gain if cuba else convention.lif_gain if fires else convention.li_gain
    gain, bias = gain_of(rule, "r", dv), dv * vector("v_leak")
    if not cuba:
        return _Neurons(1.0, _one(dv), _one(vth), _one(v_reset), gain, bias, fires)
    du = share("tau_syn")
    gain = gain * gain_of(convention.syn_gain, "w_in", du)
    return _Neurons(_one(du), _one(dv), _one(vth), _one(v_reset), gain, bias, fires)


def _check_size(name: str, values: Any) -> None:
    """Numbers that no neuron needs overflow somewhere: said here, by name."""
    sizes = np.abs(values[values != 0]) if np.size(values) else np.zeros(0)
    if sizes.size and not (sizes.min() > SMALLEST and sizes.max() < LARGEST):
        got = f"node {name!r} has weights or parameters from {sizes.min():g} to {sizes.max():g} in magnitude"
        raise Unsupported(got, f"{SMALLEST:g} to {LARGEST:g}", "scale the graph")


def _population(node: FlatNode, neurons: _Neurons, arriving: Signal) -> Population:
    """A bias joins v where the current has no memory and it is there from the first step on; else it stays an input."""
    bias, currents = neurons.bias, {onset: neurons.gain * values for onset, values in arriving.biases.items()}
    if np.all(np.asarray(neurons.du) == 1) and 0 in currents:
        bias = bias + currents.pop(0)
    for values in (bias, neurons.vth, neurons.v_reset, *currents.values()):
        finite = np.atleast_1d(values)
        _check_size(node.name, finite[np.isfinite(finite)])
    return Population(
        node.name,
        node.size,
        neurons.du,
        neurons.dv,
        neurons.vth,
        bias,
        v_reset=neurons.v_reset,
        currents=tuple((onset, values) for onset, values in sorted(currents.items()) if values.any()),
        emits="spikes" if neurons.fires else "v",
    )


def _reset(population: Population, reading: Reading) -> Population:
    """With the reset of its node; raises Unsupported for v_reset beside one that subtracts."""
    reset = reading.resets.get(population.name, "value")
    if reset != "value" and np.any(np.asarray(population.v_reset) != 0):
        got = f"node {population.name!r} subtracts its threshold, and has v_reset {np.max(population.v_reset):g}"
        raise Unsupported(got, "v_reset = 0 beside a reset that subtracts", "set v_reset to 0, or use --reset zero")
    return replace(population, reset=reset)


class _Signals:
    """What every node gives, made when it is asked for: every cycle goes through neurons, which end a signal."""

    def __init__(self, flat: Flat) -> None:
        self.nodes = {node.name: node for node in flat.nodes}
        self.signals: dict[str, Signal] = {}
        start = 0
        for node in flat.inputs:
            columns = np.arange(start, start + node.size)
            whole = flat.lines == node.size
            ones = np.ones(node.size)
            picked = csr_matrix((ones, (columns - start, columns)), (node.size, flat.lines))
            pick = identity(node.size) if whole else picked
            self.signals[node.name] = Signal({(INPUT, 0): pick})
            start += node.size
        for node in flat.nodes:
            if isinstance(node.node, NEURONS):
                self.signals[node.name] = Signal({(node.name, 0): identity(node.size)})

    def of(self, name: str) -> Signal:
        """The signal of `name`; the nodes before it first (a loop, not a recursion: chains may be long)."""
        stack = [name]
        while stack:
            node = self.nodes[stack[-1]]
            missing = [] if node.name in self.signals else [s for s, _ in node.sources if s not in self.signals]
            if missing:
                stack += missing
                continue
            stack.pop()
            if node.name not in self.signals:
                self.signals[node.name] = self._give(node)
        return self.signals[name]

    def into(self, node: FlatNode) -> Signal:
        """What arrives at a node: the sum of its sources."""
        arriving = Signal()
        for source, lag in node.sources:
            arriving = arriving.plus(self.of(source).later(lag))
        return arriving

    def _give(self, node: FlatNode) -> Signal:
        arriving = self.into(node)
        if node.delay is not None:
            return arriving.delayed(np.broadcast_to(node.delay, node.shape).reshape(-1))
        return arriving.through(node.name, *matrix_of(node.name, node.node, node.shape_in))


def _sum(a: Any, b: Any) -> Any:
    return a + b if issparse(a) == issparse(b) else np.asarray(a + b)


def _product(name: str, outer: Any, inner: Any) -> Any:
    """Of dense and sparse matrices; one diagonal factor keeps the other's form."""
    product = outer @ inner
    entries = product.nnz if issparse(product) else product.size
    if entries > MOST_SYNAPSES:
        raise Unsupported(f"node {name!r} makes {entries:,} synapses", f"at most {MOST_SYNAPSES:,}", "smaller layers")
    return product if issparse(product) else np.asarray(product)


def _one(values: Any) -> Any:
    """One number where all are equal."""
    array = np.asarray(values)
    return float(array.flat[0]) if array.size and np.all(array == array.flat[0]) else array
