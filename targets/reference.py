"""The plain definition of right: the NIR graph's own equations, step by step in float64 numpy, without chip delays."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import nir
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from neuroprompt.compiler.check import FIRING, NEURONS
from neuroprompt.compiler.flatten import Flat, FlatNode, flatten
from neuroprompt.contracts.deployment import Availability, Floats, Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import SpikingModel

Array = NDArray[np.float64]


class Reference(SpikingTarget):
    """Every node of the flat graph as NIR has it, with dt/tau as the share of a step (forward Euler):

    IF, I             v <- v + r x
    LIF, LI           v <- v + (v_leak - v + r x) dt/tau
    CubaLIF, CubaLI   i <- i + (w_in x - i) dt/tau_syn;  v <- v + (v_leak - v + r i) dt/tau_mem,  with the new i
    Threshold         v = x, and nothing of it is kept
    those that fire   spike if v > v_threshold, then v <- v_reset

    Values reach the next node in the same step; those that stay in a cycle after neurons one step later
    (`neuroprompt.compiler.flatten`). Linear nodes are computed as they stand, and never multiplied out.
    """

    about = "plain float64 numpy on the NIR graph: the definition that all others are compared with"

    @classmethod
    def available(cls) -> Availability:
        """Always: numpy is all it needs."""
        return Availability(True, "in process", f"numpy {version('numpy')}")

    def run(self, model: SpikingModel, inputs: Floats, precision: str = "float", states: bool = False) -> Recording:
        """Run the graph on `inputs` (T, n_in); raises Unsupported. Potentials are those after the reset."""
        flat = flatten(model.graph)
        if inputs.ndim != 2 or inputs.shape[1] != flat.lines:
            raise Unsupported(f"inputs of shape {inputs.shape}", f"(T, {flat.lines})")
        start = time.perf_counter()
        given, potentials = _run(flat, inputs.astype(np.float64))
        seconds = time.perf_counter() - start
        firing = [n.name for n in flat.nodes if isinstance(n.node, FIRING)]
        values = {n.name: given[n.name] for n in flat.nodes if isinstance(n.node, NEURONS) and n.name not in firing}
        values |= {n.name: given[n.name] for n in flat.readouts}
        v = {name: potentials[name] for name in firing} if states else {}
        return Recording({name: given[name] > 0 for name in firing}, seconds, v, values=values)


def _run(flat: Flat, inputs: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """What every node that is recorded gave, (T, n), and the potentials of neurons."""
    steps = len(inputs)
    kept = [n for n in flat.nodes if isinstance(n.node, NEURONS)] + list(flat.readouts)
    given = {n.name: np.zeros((steps, n.size)) for n in kept}
    potentials = {n.name: np.zeros((steps, n.size)) for n in kept if isinstance(n.node, NEURONS)}
    states: dict[str, list[Array]] = {n.name: [np.zeros(n.shape), np.zeros(n.shape)] for n in kept}
    lines: dict[str, list[Array]] = {n.name: [] for n in flat.nodes if n.delay is not None}
    parts = np.split(inputs, np.cumsum([n.size for n in flat.inputs])[:-1], axis=1)
    outer = {n.name: part for n, part in zip(flat.inputs, parts, strict=True)}
    before = {n.name: np.zeros(n.shape) for n in flat.nodes}
    for t in range(steps):
        now: dict[str, Array] = {}
        for n in flat.nodes:
            if n.name in outer:
                now[n.name] = outer[n.name][t].reshape(n.shape)
                continue
            came = [(before if lag else now)[source].reshape(n.shape_in) for source, lag in n.sources]
            x = came[0] if len(came) == 1 else np.sum(came, axis=0)
            if isinstance(n.node, NEURONS):
                now[n.name], v = _step(n.node, flat.dt, x.reshape(n.shape), states[n.name])
                potentials[n.name][t] = v.reshape(-1)
            elif n.delay is not None:
                lines[n.name].append(x)
                now[n.name] = _delayed(lines[n.name], np.broadcast_to(n.delay, n.shape_in)).reshape(n.shape)
            else:
                now[n.name] = _linear(n, x)
            if n.name in given:
                given[n.name][t] = now[n.name].reshape(-1)
        before = now
    return given, potentials


def _step(node: Any, dt: float, x: Array, state: list[Array]) -> tuple[Array, Array]:
    """What neurons give for x, and their potential after the reset; `state` is [i, v], changed in place."""
    i, v = state
    if isinstance(node, nir.Threshold):
        fired = x > node.threshold
        return fired.astype(np.float64), np.where(fired, 0.0, x)  # as if it were reset: nothing of x is kept
    if isinstance(node, (nir.IF, nir.I)):
        v = v + node.r * x
    elif isinstance(node, (nir.LIF, nir.LI)):
        leak = np.minimum(dt / np.asarray(node.tau, np.float64), 1.0)
        v = (1 - leak) * v + (node.v_leak + node.r * x) * leak
    else:
        decay, leak = (np.minimum(dt / np.asarray(tau, np.float64), 1.0) for tau in (node.tau_syn, node.tau_mem))
        i = (1 - decay) * i + node.w_in * x * decay
        v = (1 - leak) * v + (node.v_leak + node.r * i) * leak
    if not isinstance(node, FIRING):
        state[:] = [i, v]
        return v, v
    fired = v > node.v_threshold
    v = np.where(fired, node.v_reset, v)
    state[:] = [i, v]
    return fired.astype(np.float64), v


def _delayed(line: list[Array], steps: NDArray[np.int64]) -> Array:
    """Element i of what came steps[i] ago; 0 before there was anything."""
    found = np.zeros(steps.shape)
    for step in np.unique(steps):
        if step < len(line):
            found[steps == step] = line[-1 - step][steps == step]
    return found


def _linear(n: FlatNode, x: Array) -> Array:
    node = n.node
    if isinstance(node, (nir.Affine, nir.Linear)):
        rows = x.reshape(*node.weight.shape[:-2], node.weight.shape[-1])
        y: Array = np.einsum("...oi,...i->...o", node.weight.astype(np.float64), rows)
        return y + np.reshape(node.bias, y.shape) if isinstance(node, nir.Affine) else y
    if isinstance(node, nir.Scale):
        return x * np.asarray(node.scale, np.float64)
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        return _convolve(n, x)
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
        windows = _windows(x, _pair(node.padding), _pair(node.kernel_size), _pair(node.stride), (1, 1))
        return np.asarray(windows.sum((-2, -1)) if isinstance(node, nir.SumPool2d) else windows.mean((-2, -1)))
    return x.reshape(n.shape)


def _convolve(n: FlatNode, x: Array) -> Array:
    node, kernel = n.node, n.node.weight.shape[2:]
    axes, groups = len(kernel), int(node.groups)
    dilation, stride = _pair(node.dilation, axes), _pair(node.stride, axes)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if isinstance(node.padding, (str, bytes)):
        same = node.padding in ("same", b"same")
        padding: Any = [(r // 2, r - r // 2) if same else (0, 0) for r in reach]
    else:
        padding = [(p, p) for p in _pair(node.padding, axes)]
    channels = node.weight.shape[1] * groups
    size = np.shape(x)[1:] if node.input_shape is None else tuple(np.atleast_1d(node.input_shape))
    windows = _windows(x.reshape(channels, *size), padding, kernel, stride, dilation)
    outputs = node.weight.shape[0] // groups
    parts = [
        np.tensordot(
            node.weight[g * outputs : (g + 1) * outputs].astype(np.float64),
            windows[g * (channels // groups) : (g + 1) * (channels // groups)],
            axes=([1, *range(2, 2 + axes)], [0, *range(1 + axes, 1 + 2 * axes)]),
        )
        for g in range(groups)
    ]
    y: Array = np.concatenate(parts)
    return y + np.reshape(node.bias, (-1, *(1,) * axes))


def _windows(x: Array, padding: Any, kernel: Any, stride: Any, dilation: Any) -> Array:
    """All windows of x (channels, ...): (channels, *places, *kernel)."""
    both = [p if isinstance(p, tuple) else (p, p) for p in padding]
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    axes = tuple(range(1, x.ndim))
    windows = sliding_window_view(np.pad(x, [(0, 0), *both]), reach, axis=axes)
    places = tuple(slice(None, None, s) for s in stride)
    chosen: Array = windows[(slice(None), *places, *(slice(None, None, d) for d in dilation))]
    return chosen


def _pair(value: Any, axes: int = 2) -> tuple[int, ...]:
    return tuple(int(n) for n in np.broadcast_to(np.asarray(value).reshape(-1), (axes,)))
