"""Nets of Rockpool, exported and run by Rockpool: rockpool_nets.py OUT."""

from typing import Any

import torch
from _nets import HIDDEN, INPUTS, OUTPUTS, inputs, keep, weights
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch
from rockpool.nn.modules.torch.nir import to_nir

DT = 1e-3


def net(make: Any) -> Any:
    """Linear, neurons, Linear, neurons."""
    parts = []
    for rows, columns, seed in ((HIDDEN, INPUTS, 1), (OUTPUTS, HIDDEN, 2)):
        linear = LinearTorch((columns, rows), has_bias=True)
        linear.weight.data = torch.from_numpy(weights(rows, columns, seed)).T.contiguous()
        linear.bias.data = torch.full((rows,), 0.02)
        parts += [linear, make(rows)]
    return Sequential(*parts)


@torch.no_grad()
def main() -> None:
    """Neurons as the library has them, which subtract, with one spike a step, and with a threshold never met."""
    kinds = {
        "lif": lambda n, **o: LIFNeuronTorch(n, tau_mem=0.004, bias=0.0, noise_std=0.0, dt=DT, **o),
        "cuba": lambda n, **o: LIFTorch(n, tau_mem=0.004, tau_syn=0.002, bias=0.0, noise_std=0.0, dt=DT, **o),
    }
    options: dict[str, dict[str, Any]] = {
        "": {"threshold": 1.0},
        "_single": {"threshold": 1.0, "max_spikes_per_dt": 1},
        "_silent": {"threshold": 1e6},
    }
    for kind, make in kinds.items():
        for name, of in options.items():
            module, x = net(lambda n, make=make, of=of: make(n, **of)), inputs()
            graph = to_nir(module)
            module.reset_state()
            one = module[0](torch.from_numpy(x)[None])[0]
            spikes, _, record = module[1](one, record=True)
            if name == "_silent":
                keep(kind + name, graph, x, potential1=record["vmem"][0].numpy())
                continue
            two, _, _ = module[3](module[2](spikes)[0])
            keep(kind + name, graph, x, layer1=spikes[0].numpy(), layer2=two[0].numpy())


if __name__ == "__main__":
    main()
