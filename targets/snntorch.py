"""The NIR graph on real snnTorch neurons and torch layers, in float64.

snnTorch's own importer turns IF into Leaky(beta=0.9), so the modules are built here, node by node.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

from neuroprompt.contracts import Availability, Floats, Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.graph import chain, dt_of
from neuroprompt.neurons import leaky
from neuroprompt.program import Model


class SnnTorch(SpikingTarget):
    """IF: Leaky(beta = 1) on r I;  LIF: Leaky(beta = 1 - dt/tau) on (v_leak + r I) dt/tau;  reset "zero", same step."""

    about = "snnTorch neurons in float64, built from the NIR graph"

    @classmethod
    def available(cls) -> Availability:
        """Always: snnTorch is a dependency."""
        return Availability(True, "in process", f"snntorch {version('snntorch')}")

    @torch.no_grad()
    def run(self, model: Model, inputs: Floats, precision: str = "float", states: bool = False) -> Recording:
        """Run the graph on `inputs` (T, n_in); raises Unsupported where a node resets to anything but 0."""
        nodes, dt = chain(model.graph), dt_of(model.graph)
        linear = {name: _linear(node) for name, node in nodes if isinstance(node, (nir.Affine, nir.Linear))}
        neurons = {name: _neurons(name, node, dt) for name, node in nodes if isinstance(node, (nir.IF, nir.LIF))}
        v = {name: torch.zeros(node.r.size, dtype=torch.float64) for name, node in nodes if name in neurons}
        spikes: dict[str, list[Tensor]] = {name: [] for name in neurons}
        potentials: dict[str, list[Tensor]] = {name: [] for name in neurons}
        start = time.perf_counter()
        for x in torch.from_numpy(inputs.astype(np.float64)):
            signal = x
            for name, _ in nodes:
                if name in linear:
                    signal = linear[name](signal)
                elif name in neurons:
                    current, leaky = neurons[name]
                    signal, v[name] = leaky(current(signal), v[name])
                    signal = signal.double()
                    spikes[name].append(signal)
                    potentials[name].append(v[name])
        seconds = time.perf_counter() - start
        fired = {name: torch.stack(s).numpy() > 0 for name, s in spikes.items()}
        return Recording(fired, seconds, {n: torch.stack(p).numpy() for n, p in potentials.items()} if states else {})


def _linear(node: Any) -> nn.Linear:
    rows, columns = node.weight.shape
    layer = nn.Linear(columns, rows, bias=isinstance(node, nir.Affine), dtype=torch.float64)
    layer.weight.copy_(torch.from_numpy(node.weight))
    if isinstance(node, nir.Affine):
        layer.bias.copy_(torch.from_numpy(node.bias.reshape(-1)))
    return layer


def _neurons(name: str, node: Any, dt: float) -> tuple[Callable[[Tensor], Tensor], nn.Module]:
    if np.any(node.v_reset != 0) or np.any(node.v_threshold < 0):
        raise Unsupported(f"node {name!r} resets elsewhere than to 0, or has a threshold below 0", "v_reset = 0")
    r = _tensor(node.r)
    threshold = _tensor(node.v_threshold)
    if isinstance(node, nir.IF):
        return lambda i: r * i, leaky(torch.ones_like(r), threshold)
    leak, v_leak = dt / _tensor(node.tau), _tensor(node.v_leak)
    if torch.any(leak > 1):
        raise Unsupported(f"node {name!r} has tau = {node.tau.min()} s", f"at least one time step of {dt} s")
    return lambda i: (v_leak + r * i) * leak, leaky(1 - leak, threshold)


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(values.reshape(-1).astype(np.float64))
