"""Nets of Norse, exported and run by Norse: norse_nets.py OUT."""

import warnings
from typing import Any

import numpy as np
import torch
from _nets import HIDDEN, INPUTS, OUTPUTS, inputs, keep, weights

warnings.simplefilter("ignore")  # Norse 1.1.0 compiles with torch.jit

import norse.torch as norse  # noqa: E402
from norse.torch.utils.export_nir import to_nir  # noqa: E402


def net(make: Any) -> Any:
    """Linear, neurons, Linear, neurons."""
    first, second = torch.nn.Linear(INPUTS, HIDDEN), torch.nn.Linear(HIDDEN, OUTPUTS)
    for layer, seed in ((first, 1), (second, 2)):
        layer.weight.data = torch.from_numpy(weights(*layer.weight.shape, seed))
        layer.bias.data = torch.full_like(layer.bias, 0.02)
    return norse.SequentialState(first, make(HIDDEN), second, make(OUTPUTS))


def of_all(size: int, **values: float) -> dict[str, Any]:
    """Per-neuron parameters: of others its exporter makes 0-d arrays, which nir 1.0.8 rejects."""
    return {key: torch.full((size,), value) for key, value in values.items()}


@torch.no_grad()
def main() -> None:
    """Every kind of neurons; all reset to 0."""
    leak = {"v_leak": 0.0, "v_reset": 0.0}
    kinds = {
        "if": lambda n: norse.IAFCell(norse.IAFParameters(**of_all(n, v_th=1.0))),
        "lif": lambda n: norse.LIFBoxCell(norse.LIFBoxParameters(**of_all(n, tau_mem_inv=250.0, v_th=0.4, **leak))),
        "cuba": lambda n: norse.LIFCell(
            norse.LIFParameters(**of_all(n, tau_syn_inv=500.0, tau_mem_inv=250.0, v_th=0.4, **leak))
        ),
    }
    for kind, make in kinds.items():
        module, x = net(make), inputs()
        graph = to_nir(module, torch.from_numpy(x[:1]), dt=0.001)
        spikes: list[Any] = [[], []]
        states: list[Any] = [None, None]
        for row in torch.from_numpy(x):
            first, states[0] = module[1](module[0](row[None]), states[0])
            second, states[1] = module[3](module[2](first), states[1])
            spikes[0].append(first[0])
            spikes[1].append(second[0])
        one, two = (np.stack([s.numpy() for s in layer]) for layer in spikes)
        keep(kind, graph, x, layer1=one, layer2=two)


if __name__ == "__main__":
    main()
