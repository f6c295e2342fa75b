"""Rockpool's neurons for `stepwise.run`, in its own package; their equations stand in targets/rockpool.py."""

from typing import Any

import numpy as np
import torch
from rockpool.nn.modules import LIFTorch

ALONE = True
"""LIFTorch keeps the states of a batch's first item alone."""
TOGETHER = 512
"""Neurons of one LIFTorch, which keeps a matrix of its neurons by its neurons even without recurrence."""


def make(population: dict[str, Any]) -> Any:
    """One step of a population: a (n,) -> what it emits, v after the reset."""
    rest = torch.zeros(population["size"], dtype=torch.float64)
    keys = ("du", "dv", "vth", "v_reset", "bias")
    values = [rest + torch.from_numpy(np.asarray(population[key], np.float64)) for key in keys]
    split = zip(*(v.split(TOGETHER) for v in values), strict=True)
    fires, subtracts = population["emits"] == "spikes", population["reset"] == "subtract"
    parts = [_some(some, fires, subtracts) for some in split]

    def step(a: Any) -> tuple[Any, Any]:
        outputs = [part(some) for part, some in zip(parts, torch.from_numpy(a).split(TOGETHER), strict=True)]
        return torch.cat([out for out, _ in outputs]).numpy(), torch.cat([v for _, v in outputs]).numpy()

    return step


def _some(values: tuple[Any, ...], fires: bool, subtracts: bool) -> Any:
    """The step of as many neurons as one LIFTorch holds."""
    du, dv, vth, v_reset, bias = values
    rest = torch.zeros_like(du)
    never = rest + torch.finfo(torch.float64).max  # of inf, 0 spikes would subtract nan
    synapse = neurons(rest, 1 - du, rest, never) if bool((du != 1).any()) else None
    # It fires at v >= threshold.
    lif = neurons(1 - dv, rest + 1, bias, torch.nextafter(vth, never) if fires else never)
    if subtracts:
        lif.max_spikes_per_dt = torch.ones_like(lif.max_spikes_per_dt)

    @torch.no_grad()
    def step(u: Any) -> tuple[Any, Any]:
        if synapse is not None:
            a, u = u, synapse.isyn[:, 0] + u
            synapse.forward(a[None, None])
        lif.isyn.zero_()
        fired = lif.forward(u[None, None])[0, 0] != 0
        if not subtracts:
            lif.vmem = torch.where(fired, v_reset, lif.vmem)
        return fired if fires else lif.vmem, lif.vmem

    return step


def neurons(alpha: Any, beta: Any, bias: Any, threshold: Any) -> Any:
    """LIFTorch with these decays of v (alpha) and i (beta), in double precision, unlike its constructor's."""
    lif = LIFTorch(len(alpha), leak_mode="decays", dt=1.0)
    lif.alpha.data, lif.beta.data, lif.bias.data, lif.threshold.data = alpha, beta[:, None], bias, threshold
    lif.vmem, lif.isyn = torch.zeros_like(alpha), torch.zeros_like(beta[:, None])
    return lif
