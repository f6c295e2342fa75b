"""Nets of snnTorch, exported and run by snnTorch: snntorch_nets.py OUT."""

from typing import Any

import numpy as np
import snntorch as snn
import torch
from _nets import HIDDEN, INPUTS, OUTPUTS, inputs, keep, weights
from snntorch.export_nir import export_to_nir


def leaky(size: int, **options: Any) -> Any:
    """Per-neuron parameters: its exporter makes 0-d arrays of others, which nir 1.0.8 rejects."""
    beta, threshold = torch.linspace(0.8, 0.95, size), torch.ones(size)
    return snn.Leaky(beta=beta, threshold=threshold, init_hidden=True, **options)


def synaptic(size: int, **options: Any) -> Any:
    """Two states."""
    alpha, beta, threshold = torch.full((size,), 0.7), torch.linspace(0.8, 0.95, size), torch.ones(size)
    return snn.Synaptic(alpha=alpha, beta=beta, threshold=threshold, init_hidden=True, **options)


def rleaky(size: int, **options: Any) -> Any:
    """Recurrent, all to all."""
    layer = snn.RLeaky(beta=torch.full((size,), 0.9), linear_features=size, init_hidden=True, **options)
    layer.recurrent.weight.data = torch.from_numpy(weights(size, size, 3, 0.4))
    layer.recurrent.bias.data.zero_()
    return layer


def net(make: Any, strength: float = 1.0, **options: Any) -> Any:
    """Linear, neurons, Linear, neurons."""
    first, second = torch.nn.Linear(INPUTS, HIDDEN), torch.nn.Linear(HIDDEN, OUTPUTS)
    for layer, seed in ((first, 1), (second, 2)):
        layer.weight.data = torch.from_numpy(weights(*layer.weight.shape, seed)) * strength
        layer.bias.data = torch.full_like(layer.bias, 0.02)
    return torch.nn.Sequential(first, make(HIDDEN, **options), second, make(OUTPUTS, **options))


@torch.no_grad()
def main() -> None:
    """Every kind of neurons, with each reset."""
    at_once: dict[str, Any] = {"reset_mechanism": "subtract", "reset_delay": False}
    for kind, make in (("leaky", leaky), ("synaptic", synaptic), ("rleaky", rleaky)):
        for how, options in (
            ("calm", at_once | {"strength": 0.45}),
            ("zero", {"reset_mechanism": "zero"}),
            ("zero_at_once", {"reset_mechanism": "zero", "reset_delay": False}),
            ("subtract", {"reset_mechanism": "subtract"}),
            ("subtract_at_once", at_once),
        ):
            module, x = net(make, **options), inputs()
            graph = export_to_nir(module, torch.from_numpy(x[:1]), ignore_dims=[0])
            module = net(make, **options)
            spikes: list[Any] = [[], []]
            for row in torch.from_numpy(x):
                first = module[1](module[0](row[None]))
                spikes[0].append(first[0])
                spikes[1].append(module[3](module[2](first))[0])
            one, two = (np.stack([s.numpy() for s in layer]) for layer in spikes)
            keep(f"{kind}_{how}", graph, x, layer1=one, layer2=two)


if __name__ == "__main__":
    main()
