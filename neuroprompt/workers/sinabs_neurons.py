"""Sinabs' neurons for `stepwise.run`, in its own packages; their equations stand in targets/sinabs.py."""

from typing import Any

import numpy as np
import torch
from sinabs.activation import MembraneReset, SingleSpike
from sinabs.layers import IAF, LIF, ExpLeak


def make(population: dict[str, Any]) -> Any:
    """One step of a population: a (n,) -> what it emits, v after the reset."""
    rest = torch.zeros(population["size"], dtype=torch.float64)
    keys = ("du", "dv", "vth", "v_reset", "bias")
    du, dv, vth, v_reset, bias = (rest + torch.from_numpy(np.asarray(population[key], np.float64)) for key in keys)
    fires = population["emits"] == "spikes"
    v_reset = v_reset if fires else rest
    x0 = bias - dv * v_reset
    current, synapse = None, {}
    if (du != 1).any():
        if (du != 1).all() and fires and not x0.any():
            synapse = {"tau_syn": 1.0}
        else:  # something is added behind the current: a layer for it alone
            current = with_decay(ExpLeak(tau_mem=1.0, train_alphas=True), rest, alpha_mem=1 - du)
    # It fires at v >= threshold.
    spiking = {"spike_threshold": torch.nextafter(vth - v_reset, rest + np.inf), "spike_fn": SingleSpike}
    spiking |= {"reset_fn": MembraneReset()}
    if not fires:
        layer = with_decay(ExpLeak(tau_mem=1.0, train_alphas=True), rest, alpha_mem=1 - dv)
    elif synapse or dv.any():
        layer = LIF(tau_mem=1.0, train_alphas=True, norm_input=False, **synapse, **spiking)
        with_decay(layer, -v_reset, alpha_mem=1 - dv, **({"alpha_syn": 1 - du} if synapse else {}))
    else:
        layer = with_decay(IAF(**spiking), -v_reset)
    gain = 1 / (1 - du) if synapse else rest + 1

    @torch.no_grad()
    def step(a: Any) -> tuple[Any, Any]:
        x = gain * torch.from_numpy(a)[None, None]
        if current is not None:
            x = current(x)
        out = layer(x + x0)
        v = layer.v_mem[0] + v_reset
        return (out[0, 0] if fires else v).numpy(), v.numpy()

    return step


def with_decay(layer: Any, v: Any, **decays: Any) -> Any:
    """The layer with decays in double precision, which its constructor would round, and with v to begin."""
    for name, decay in decays.items():
        getattr(layer, name).data = decay
    layer.v_mem = v[None].clone()
    if "alpha_syn" in decays:
        layer.i_syn = torch.zeros_like(v)[None]
    return layer
