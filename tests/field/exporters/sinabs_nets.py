"""Nets of sinabs, exported and run by sinabs: sinabs_nets.py OUT."""

from typing import Any

import sinabs.layers as sl
import torch
from _nets import HIDDEN, INPUTS, OUTPUTS, inputs, keep, weights
from sinabs.activation import MembraneReset, SingleSpike
from sinabs.nir import to_nir


def net(make: Any) -> Any:
    """Linear, neurons, Linear, neurons."""
    first, second = torch.nn.Linear(INPUTS, HIDDEN), torch.nn.Linear(HIDDEN, OUTPUTS)
    for layer, seed in ((first, 1), (second, 2)):
        layer.weight.data = torch.from_numpy(weights(*layer.weight.shape, seed))
        layer.bias.data = torch.full_like(layer.bias, 0.02)
    return torch.nn.Sequential(first, make(HIDDEN), second, make(OUTPUTS))


@torch.no_grad()
def main() -> None:
    """Every kind of neurons, with one spike a step and a reset to 0, and as the library has them."""
    zero: dict[str, Any] = {"spike_fn": SingleSpike, "reset_fn": MembraneReset(), "batch_size": 1}
    usual: dict[str, Any] = {"batch_size": 1}  # several spikes a step, subtracted

    def lif(n: int, threshold: float, **options: Any) -> Any:
        """Vectors: of other shapes its exporter writes 0-d arrays, or raises."""
        return sl.LIFSqueeze(tau_mem=torch.full((n,), 4.0), spike_threshold=torch.full((n,), threshold), **options)

    kinds = {
        "if": lambda n: sl.IAFSqueeze(**zero),
        "if_default": lambda n: sl.IAFSqueeze(**usual),
        "if_single": lambda n: sl.IAFSqueeze(**usual, spike_fn=SingleSpike),
        "lif": lambda n: lif(n, 0.4, **zero),
        "lif_0d": lambda n: sl.LIFSqueeze(tau_mem=4.0, spike_threshold=torch.tensor(0.4), **zero),
        "lif_norm_input_false": lambda n: lif(n, 1.0, norm_input=False, **zero),
        "lif_default": lambda n: lif(n, 0.4, **usual),
    }
    for kind, make in kinds.items():
        module, x = net(make), inputs()
        graph = to_nir(module, torch.from_numpy(x))
        for layer in (module[1], module[3]):
            layer.reset_states()
        first = module[1](module[0](torch.from_numpy(x)))
        second = module[3](module[2](first))
        keep(kind, graph, x, layer1=first.numpy(), layer2=second.numpy())


if __name__ == "__main__":
    main()
