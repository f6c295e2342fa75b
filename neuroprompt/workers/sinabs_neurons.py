"""Sinabs' neurons for `stepwise.run`, in its own packages; their equations stand in targets/sinabs.py."""

from typing import Any

import numpy as np
import torch
from sinabs.activation import SingleSpike
from sinabs.layers import IAF, LIF, ExpLeak


def make(population: dict[str, Any]) -> Any:
    """One step of a population: a (batch, n) -> what it emits, v after the reset."""
    rest = torch.zeros(population["size"], dtype=torch.float64)
    keys = ("du", "dv", "vth", "v_reset", "bias")
    du, dv, vth, v_reset, bias = (rest + torch.from_numpy(np.asarray(population[key], np.float64)) for key in keys)

    kind = population["reset"]

    def reset(spikes: Any, state: dict[str, Any], _threshold: Any) -> dict[str, Any]:
        v = state["v_mem"]
        if kind == "value":
            return state | {"v_mem": torch.where(spikes > 0, v_reset, v)}
        return state | {"v_mem": v - spikes * vth} if kind == "subtract" else state

    # It fires at v >= threshold.
    spiking = {"spike_fn": SingleSpike, "reset_fn": reset, "spike_threshold": torch.nextafter(vth, rest + np.inf)}
    fires = population["emits"] == "spikes"
    if not fires:
        layer = leaky(ExpLeak(tau_mem=1.0, train_alphas=True), 1 - dv)
    elif dv.any():
        layer = leaky(LIF(tau_mem=1.0, train_alphas=True, norm_input=False, **spiking), 1 - dv)
    else:
        layer = IAF(**spiking)
    current = leaky(ExpLeak(tau_mem=1.0, train_alphas=True), 1 - du) if (du != 1).any() else torch.nn.Identity()

    fired = rest[None, None]  # in the step before

    @torch.no_grad()
    def step(a: Any) -> tuple[Any, Any]:
        nonlocal fired
        x = current(torch.from_numpy(a)[:, None]) + bias  # (batch, T, n)
        late = fires and kind == "late"
        out = layer(x - fired * vth if late else x)
        fired = out if late else fired
        return out[:, 0].numpy(), layer.v_mem.numpy()

    return step


def leaky(layer: Any, alpha: Any) -> Any:
    """The layer with a decay for each neuron in double precision, which its constructor would round."""
    layer.alpha_mem.data = alpha
    return layer
