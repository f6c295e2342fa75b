"""The equations of NIR's nodes in float64 numpy, one step at a time, each as it stands; the reference's arithmetic."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from neuroprompt.compiler.conventions import Reading

Array = NDArray[np.float64]


class Neurons:
    """Neurons with their state, from rest, with dt/tau as the share of a step (forward Euler), in NIR's own words:

    IF, I             v <- v + r x
    LIF, LI           v <- v + (v_leak - v + r x) dt/tau
    CubaLIF, CubaLI   i <- i + (w_in x - i) dt/tau_syn;  v <- v + (v_leak - v + r i) dt/tau_mem,  with the new i
    Threshold         v = x, and nothing of it is kept
    those that fire   spike if v > v_threshold, then v <- v_reset

    A graph in another convention has other time constants, shares and weights of x and i, each as it says; in one that
    holds, v of CubaLIF, and of neurons that drive themselves, also stays at v_reset in the step after a spike.

    Where the reset subtracts, v <- v - v_threshold at a spike; where it does so late, v <- v - v_threshold in the next
    step, behind the leak and the input and before it is compared.
    """

    def __init__(self, node: Any, reading: Reading, recurrent: bool = False, reset: str = "value") -> None:
        self.node, self.says, self.dt, self.reset = node, reading.convention, reading.dt, reset
        self.holds = reading.convention.holds and reset == "value" and (recurrent or isinstance(node, nir.CubaLIF))
        self.fired: Any = False
        self.i: Any = 0.0
        self.v: Any = 0.0

    def step(self, x: Array) -> Array:
        """What they give for x: spikes of 0 and 1, or their potential; `v` is the potential after the reset."""
        node = self.node
        if isinstance(node, nir.Threshold):
            fired = x > node.threshold
            self.v = np.where(fired, 0.0, x)
            return np.where(fired, 1.0, 0.0)
        if isinstance(node, (nir.IF, nir.I)):
            self.v = self.v + (node.r * self.dt if self.says.if_gain == "r dt" else node.r) * x
        elif isinstance(node, (nir.LIF, nir.LI)):
            leak = self._share(node.tau)
            rule = self.says.lif_gain if isinstance(node, nir.LIF) else self.says.li_gain
            self.v = (1 - leak) * self.v + node.v_leak * leak + _weight(rule, node.r, leak) * x
        else:
            decay, leak = self._share(node.tau_syn), self._share(node.tau_mem)
            self.i = (1 - decay) * self.i + _weight(self.says.syn_gain, node.w_in, decay) * x
            self.v = (1 - leak) * self.v + node.v_leak * leak + _weight(self.says.mem_gain, node.r, leak) * self.i
        if isinstance(node, (nir.I, nir.LI, nir.CubaLI)):
            return np.asarray(self.v, np.float64)
        if self.holds:
            self.v = np.where(self.fired, node.v_reset, self.v)
        if self.reset == "late":
            self.v = self.v - np.where(self.fired, node.v_threshold, 0.0)
        self.fired = fired = self.v > node.v_threshold
        if self.reset == "subtract":
            self.v = self.v - np.where(fired, node.v_threshold, 0.0)
        elif self.reset == "value":
            self.v = np.where(fired, node.v_reset, self.v)
        return np.where(fired, 1.0, 0.0)

    def _share(self, tau: Any) -> Any:
        """The part of a state that a step takes away."""
        share = self.dt / np.asarray(tau, np.float64)
        if self.says.tau == "tau / dt":
            share = share * self.dt
        return 1 - np.exp(-share) if self.says.share == "exact" else np.minimum(share, 1.0)


def _weight(rule: str, parameter: Any, share: Any) -> Any:
    """What an input of 1 adds to a state of which a step takes `share` away."""
    if rule == "1":
        return 1.0
    return 1 - share if rule == "rest" else np.asarray(parameter, np.float64) * share


class Delay:
    """Element i of what came steps[i] ago; 0 before there was anything."""

    def __init__(self, steps: NDArray[np.int64]) -> None:
        self.steps = steps
        self.kept: list[Array] = []

    def keep(self, x: Array) -> None:
        """What comes in this step."""
        self.kept.append(x)

    def give(self, now: int) -> Array:
        """What leaves in step `now`; zeros where nothing has come yet, of the shape that the delays have."""
        shape = np.broadcast_shapes(self.steps.shape, self.kept[0].shape if self.kept else ())
        steps, out = np.broadcast_to(self.steps, shape), np.zeros(shape, np.float64)
        for step in np.unique(steps):
            if step <= now:
                out[steps == step] = np.broadcast_to(self.kept[now - step], shape)[steps == step]
        return out


def shape_of(node: Any) -> tuple[int, ...]:
    """The shape that a node of neurons, or a Delay, has by its parameters; () where they are single numbers."""
    return np.broadcast_shapes(*(np.shape(value) for value in vars(node).values() if isinstance(value, np.ndarray)))


def passed_on(node: Any, x: Array) -> Array:
    """What a node without state gives for x."""
    if isinstance(node, (nir.Input, nir.Output)):
        types = node.input_type if isinstance(node, nir.Input) else node.output_type
        return _declared(types, "input" if isinstance(node, nir.Input) else "output", x)
    if isinstance(node, (nir.Affine, nir.Linear)):
        rows = x.reshape(*node.weight.shape[:-2], node.weight.shape[-1])
        y: Array = np.einsum("...oi,...i->...o", node.weight.astype(np.float64), rows)
        return y + np.reshape(node.bias, y.shape) if isinstance(node, nir.Affine) else y
    if isinstance(node, nir.Scale):
        return x * np.asarray(node.scale, np.float64)
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        return _convolve(node, x)
    if isinstance(node, nir.Flatten):
        return _flatten(node, x)
    windows = _windows(x, _pair(node.padding), _pair(node.kernel_size), _pair(node.stride), (1, 1))
    return np.asarray(windows.sum((-2, -1)) if isinstance(node, nir.SumPool2d) else windows.mean((-2, -1)))


def _declared(types: Any, key: str, x: Array) -> Array:
    """In the shape that a node declares, where it does."""
    shape = (types or {}).get(key)
    return x if shape is None else x.reshape([int(n) for n in np.atleast_1d(shape)])


def _flatten(node: Any, x: Array) -> Array:
    x = _declared(node.input_type, "input", x)
    axes = range(x.ndim)
    first, last = axes[int(node.start_dim)], axes[min(int(node.end_dim), x.ndim - 1)]
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :]) if first < last else x


def _convolve(node: Any, x: Array) -> Array:
    kernel, groups = node.weight.shape[2:], int(node.groups)
    axes = len(kernel)
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
