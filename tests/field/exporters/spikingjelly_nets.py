"""Nets of SpikingJelly, exported and run by SpikingJelly: spikingjelly_nets.py OUT."""

from typing import Any

import numpy as np
import torch
from _nets import HIDDEN, INPUTS, OUTPUTS, inputs, keep, weights
from spikingjelly.activation_based import functional, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir


def net(make: Any) -> Any:
    """Linear, neurons, Linear, neurons."""
    first, second = torch.nn.Linear(INPUTS, HIDDEN), torch.nn.Linear(HIDDEN, OUTPUTS)
    for layer, seed in ((first, 1), (second, 2)):
        layer.weight.data = torch.from_numpy(weights(*layer.weight.shape, seed))
        layer.bias.data = torch.full_like(layer.bias, 0.02)
    return torch.nn.Sequential(first, make(), second, make())


@torch.no_grad()
def main() -> None:
    """Every kind of neurons with a reset to 0; its exporter rejects the others."""
    kinds = {
        "if": lambda: neuron.IFNode(v_reset=0.0),
        "lif": lambda: neuron.LIFNode(tau=4.0, v_reset=0.0, v_threshold=0.4),
        "lif_no_decay_input": lambda: neuron.LIFNode(tau=4.0, decay_input=False, v_reset=0.0),
        "cuba": lambda: neuron.CUBALIFNode(c_decay=0.5, v_decay=0.75, v_reset=0.0),
    }
    for kind, make in kinds.items():
        for dt in (1e-4, 1e-3):
            module, x = net(make), inputs()
            graph = export_to_nir(module, torch.from_numpy(x[:1]), dt=dt)
            functional.reset_net(module)
            spikes: list[Any] = [[], []]
            for row in torch.from_numpy(x):
                first = module[1](module[0](row[None]))
                spikes[0].append(first[0])
                spikes[1].append(module[3](module[2](first))[0])
            one, two = (np.stack([s.numpy() for s in layer]) for layer in spikes)
            keep(f"{kind}{'' if dt == 1e-4 else '_dt_1e-3'}", graph, x, layer1=one, layer2=two)


if __name__ == "__main__":
    main()
