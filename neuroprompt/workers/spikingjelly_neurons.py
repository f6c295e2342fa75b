"""SpikingJelly's neurons for `stepwise.run`, in its own packages; their equations stand in targets/spikingjelly.py."""

from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based.neuron import CUBALIFNode


def make(population: dict[str, Any]) -> Any:
    """One step of a population: a (..., n) -> what it emits, v after the reset."""
    rest = torch.zeros(population["size"], dtype=torch.float64)
    keys = ("du", "dv", "vth", "v_reset", "bias")
    du, dv, vth, v_reset, bias = (rest + torch.from_numpy(np.asarray(population[key], np.float64)) for key in keys)
    never, fires = rest + np.inf, population["emits"] == "spikes"
    # A bias is added behind the current: then a node that only keeps the current stands before.
    current = node(1 - du, rest, never, rest) if (du != 1).any() and bias.any() else None
    # It fires at v >= v_threshold.
    after = None if population["reset"] == "subtract" else v_reset
    neurons = node(rest if current else 1 - du, 1 - dv, torch.nextafter(vth, never), after)

    @torch.no_grad()
    def step(a: Any) -> tuple[Any, Any]:
        x = torch.from_numpy(a)
        for each in (current, neurons):
            if each and each.v.shape != x.shape:  # the first step of a batch
                each.v, each.c = torch.zeros_like(x), torch.zeros_like(x)
        if current:
            current(x)
            x = current.v
        fired = neurons(x + bias)
        return (fired if fires else neurons.v).numpy(), neurons.v.numpy()

    return step


def node(c_decay: Any, v_decay: Any, v_threshold: Any, v_reset: Any) -> Any:
    """A CUBALIFNode with a value for each neuron, which its constructor does not take, and v = 0, not v_reset."""
    cuba = CUBALIFNode()
    cuba.c_decay, cuba.v_decay, cuba.v_threshold, cuba.v_reset = c_decay, v_decay, v_threshold, v_reset
    cuba.v, cuba.c = torch.zeros_like(c_decay), torch.zeros_like(c_decay)
    return cuba
