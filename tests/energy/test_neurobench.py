"""Our counts against NeuroBench 2.3.0's own metrics, on the same snnTorch nets and the same run."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from float_bounds import U64
from scipy.sparse import csr_matrix
from snntorch import utils
from torch import Tensor, nn

from neuroprompt.contracts.deployment import Recording
from neuroprompt.energy.count_spikes import ProgramCounts, count
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

pytestmark = pytest.mark.usefixtures("neurobench")
STEPS = 7


def mlp(reset: str) -> nn.Sequential:
    first, second = nn.Linear(12, 20), nn.Linear(20, 5, bias=False)
    with torch.no_grad():
        first.weight[torch.rand(20, 12) < 0.3] = 0
        second.weight[:, ::4] = 0
    return nn.Sequential(first, leaky(0.8, reset), second, leaky(0.5, reset, output=True))


def convnet(reset: str) -> nn.Sequential:
    conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)
    with torch.no_grad():
        conv.weight[1, 0, :, 1] = 0
    layers = conv, leaky(0.9, reset), nn.Flatten(), nn.Linear(4 * 4 * 4, 6), leaky(0.7, reset, output=True)
    return nn.Sequential(*layers)


def leaky(beta: float, reset: str, **options: Any) -> nn.Module:
    delay = reset == "subtract"
    made: nn.Module = snn.Leaky(
        beta, threshold=0.4, init_hidden=True, reset_mechanism=reset, reset_delay=delay, **options
    )
    return made


NETS = {"mlp": (mlp, (12,)), "convnet": (convnet, (2, 8, 8))}


@torch.no_grad()
def run(net: nn.Sequential, inputs: Tensor) -> tuple[Program, Recording]:
    """The net as a program of ours, and what its neurons did; inputs (T, ...)."""
    utils.reset(net)
    neurons = {f"n{i}": m for i, m in enumerate(m for m in net if isinstance(m, snn.Leaky))}
    spikes: dict[str, list[Tensor]] = {name: [] for name in neurons}
    v: dict[str, list[Tensor]] = {name: [] for name in neurons}
    hooks = [m.register_forward_hook(lambda _m, _x, out, n=n: spikes[n].append(fired(out))) for n, m in neurons.items()]
    for x in inputs:
        net(x[None])
        for name, module in neurons.items():
            v[name].append(module.mem[0])
    for hook in hooks:
        hook.remove()
    recording = Recording(
        {name: torch.stack(s).flatten(1).numpy() > 0 for name, s in spikes.items()},
        seconds=0.0,
        v={name: torch.stack(s).flatten(1).detach().numpy() for name, s in v.items()},
    )
    return program(net, inputs.shape[1:], recording), recording


def fired(out: Any) -> Tensor:
    spikes: Tensor = out[0] if isinstance(out, tuple) else out
    return spikes[0]


@torch.no_grad()
def program(net: nn.Sequential, shape: tuple[int, ...], recording: Recording) -> Program:
    populations, projections, source = [], [], "input"
    names = iter(recording.spikes)
    for layer in net:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            target = next(names)
            n_in = int(np.prod(shape))
            eye = torch.eye(n_in).reshape(n_in, *shape)
            there = type(layer).forward(ones(layer), eye).flatten(1).T != 0
            weights: Any = type(layer).forward(without_bias(layer), eye).flatten(1).T.numpy()
            bias = layer(torch.zeros(1, *shape)).flatten().numpy()
            if isinstance(layer, nn.Conv2d):  # absent edges are not stored, zero weights are
                rows, columns = there.nonzero(as_tuple=True)
                pair = (rows.numpy(), columns.numpy())
                values, weights = weights, csr_matrix((np.ones(len(rows)), pair), shape=there.shape)
                weights.data = values[pair]
            projections.append(Projection(source, target, Weights(weights)))
            populations.append(Population(target, len(bias), 1.0, 0.5, 0.4, bias))
            shape, source = tuple(layer(torch.zeros(1, *shape)).shape[1:]), target
        elif isinstance(layer, nn.Flatten):
            shape = (int(np.prod(shape)),)
    n = projections[0].weights.shape[1]
    return Program("float", STEPS, n, tuple(populations), tuple(projections))


def without_bias(layer: Any) -> Any:
    layer = copy.deepcopy(layer)
    if layer.bias is not None:
        layer.bias.data.zero_()
    return layer


def ones(layer: Any) -> Any:
    layer = without_bias(layer)
    layer.weight.data.fill_(1)
    return layer


@torch.no_grad()
def by_neurobench(net: nn.Sequential, inputs: Tensor) -> dict[str, Any]:
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import (
        ActivationSparsity,
        ActivationSparsityByLayer,
        MembraneUpdates,
        NeuronOperations,
        SynapticOperations,
    )
    from neurobench.models import SNNTorchModel

    model = SNNTorchModel(net)
    model.register_hooks()
    predicted = model(inputs[None])
    metrics = SynapticOperations, ActivationSparsity, ActivationSparsityByLayer, MembraneUpdates, NeuronOperations
    found = {m.__name__: m()(model, predicted, (inputs[None], None)) for m in metrics}
    found |= {"ConnectionSparsity": ConnectionSparsity()(model), "Footprint": Footprint()(model)}
    model.cleanup_hooks()
    return found


def inputs_of(kind: str, shape: tuple[int, ...]) -> Tensor:
    x = torch.rand(STEPS, *shape)
    if kind == "spikes":
        return (x < 0.3).float()
    x[x < 0.2] = 0
    x[2] = (x[2] > 0.5).float()  # NeuroBench looks at every call by itself: this step adds, the others multiply
    return x


@pytest.mark.parametrize("kind", ["spikes", "numbers"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("name", NETS)
def test_the_same_numbers(name: str, reset: str, kind: str) -> None:
    make, shape = NETS[name]
    net, inputs = make(reset).eval(), inputs_of(kind, shape)
    counts = counted(net, inputs)
    theirs = by_neurobench(net, inputs)
    total = counts.total
    assert theirs["SynapticOperations"] == {
        "Effective_MACs": total.synops_graded,
        "Effective_ACs": total.acs,
        "Dense": total.synops_dense,
    }
    assert total.acs > 0
    assert (total.synops_graded > 0) == (kind == "numbers")
    assert counts.activation_sparsity is not None
    # 1 - a share of 1 at most: two roundings on either side.
    assert abs(theirs["ActivationSparsity"] - counts.activation_sparsity) <= 4 * U64
    assert 0.02 < counts.activation_sparsity < 0.98
    by_layer = list(theirs["ActivationSparsityByLayer"].values())
    sparsity = [node.activation_sparsity or 0.0 for node in counts.nodes]
    assert all(abs(a - b) <= 4 * U64 for a, b in zip(by_layer, sparsity, strict=True))
    changed = sum(node.membrane_updates or 0 for node in counts.nodes)
    assert theirs["MembraneUpdates"] == changed
    # NeuroBench takes four operations for an update of Leaky.
    assert theirs["NeuronOperations"] == {"Effective Neuron Ops": 4 * changed, "Neuron Dense Ops": 4 * total.updates}


def test_connection_sparsity_of_linear_layers() -> None:
    net = mlp("zero").eval()
    inputs = inputs_of("spikes", (12,))
    ours = counted(net, inputs).connection_sparsity
    assert ours is not None
    assert by_neurobench(net, inputs)["ConnectionSparsity"] == round(ours, 4) > 0.2


def test_the_footprint_but_for_settings_that_snntorch_keeps_as_buffers() -> None:
    """Both count weights, biases and potentials; snnTorch also keeps beta, threshold and the like as tensors."""
    net = mlp("zero").eval()
    inputs = inputs_of("spikes", (12,))
    ours, theirs = counted(net, inputs), by_neurobench(net, inputs)["Footprint"]
    kept = [b for m in net if isinstance(m, snn.Leaky) for n, b in m.named_buffers() if n != "mem"]
    kept += [p for m in net if isinstance(m, snn.Leaky) for p in m.parameters()]
    assert theirs - sum(b.numel() * b.element_size() for b in kept) == ours.json()["footprint"]


def counted(net: nn.Sequential, inputs: Tensor) -> ProgramCounts:
    made, recording = run(net, inputs)
    return count(made, recording, inputs.flatten(1).numpy())
