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
    """Neurons as the library has them, which subtract, and with a threshold that is never met."""
    kinds = {
        "lif": lambda n, th: LIFNeuronTorch(n, tau_mem=0.004, threshold=th, bias=0.0, noise_std=0.0, dt=DT),
        "cuba": lambda n, th: LIFTorch(n, tau_mem=0.004, tau_syn=0.002, threshold=th, bias=0.0, noise_std=0.0, dt=DT),
    }
    for kind, make in kinds.items():
        for name, threshold in (("", 1.0), ("_silent", 1e6)):
            module, x = net(lambda n, make=make, th=threshold: make(n, th)), inputs()
            graph = to_nir(module)
            module.reset_state()
            one = module[0](torch.from_numpy(x)[None])[0]
            spikes, _, record = module[1](one, record=True)
            if name:
                keep(kind + name, graph, x, potential1=record["vmem"][0].numpy())
                continue
            two, _, _ = module[3](module[2](spikes)[0])
            keep(kind, graph, x, layer1=spikes[0].numpy(), layer2=two[0].numpy())


if __name__ == "__main__":
    main()
