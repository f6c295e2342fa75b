"""SpikingJelly's neurons for `stepwise.run`, in its own packages; their equations stand in targets/spikingjelly.py."""

from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import neuron


@torch.no_grad()
def make(population: dict[str, Any]) -> Any:
    """One step of a population: a (n,) -> what it emits, v after the reset."""
    rest = torch.zeros(population["size"], dtype=torch.float64)
    keys = ("du", "dv", "vth", "v_reset", "bias")
    du, dv, vth, v_reset, bias = (rest + torch.from_numpy(np.asarray(population[key], np.float64)) for key in keys)
    vth = torch.nextafter(vth, rest + np.inf)  # it fires at v >= v_threshold
    remembers, fires = bool((du != 1).any()), population["emits"] == "spikes"
    # A bias comes behind the current: then a node that only keeps the current stands before.
    current = cuba(1 - du, rest, rest + np.inf, rest) if remembers and bias.any() else None
    uniform = all(bool((values == values[0]).all()) for values in (dv, vth, v_reset))
    if uniform and fires and (current or not remembers) and 0 <= dv[0] < 1:
        shared = {"v_threshold": vth[0].item(), "v_reset": v_reset[0].item()}
        if dv[0] == 0:
            cell = neuron.IFNode(**shared)
        else:
            cell = neuron.LIFNode(tau=1 / dv[0].item(), decay_input=False, **shared)
            bias = bias - v_reset * dv  # it leaks towards v_reset
        cell.v = rest.clone()  # it would start at v_reset
    else:
        cell = cuba(rest if current else 1 - du, 1 - dv, vth, v_reset)

    @torch.no_grad()
    def step(a: Any) -> tuple[Any, Any]:
        x = torch.from_numpy(a)
        if current:
            current(x)
            x = current.v
        fired = cell(x + bias)
        return (fired if fires else cell.v).numpy(), cell.v.numpy()

    return step


def cuba(c_decay: Any, v_decay: Any, v_threshold: Any, v_reset: Any) -> Any:
    """A CUBALIFNode with a value for each neuron, which its constructor does not take."""
    cell = neuron.CUBALIFNode()
    cell.c_decay, cell.v_decay, cell.v_threshold, cell.v_reset = c_decay, v_decay, v_threshold, v_reset
    cell.v, cell.c = torch.zeros_like(c_decay), torch.zeros_like(c_decay)
    return cell
