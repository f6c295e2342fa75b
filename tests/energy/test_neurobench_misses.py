"""Work that NeuroBench's hooks do not see, with our counts beside; and our own trained form, counted by both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from float_bounds import near
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from neuroprompt.compiler.compile import floats_of_graph
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.contracts.learning import Generator
from neuroprompt.energy.count_bundle import counts_of_model
from neuroprompt.energy.count_spikes import count
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.macs import count_macs
from neuroprompt.spiking.neurons import IF, LIF
from neuroprompt.training.deploy import spiking_model

pytestmark = pytest.mark.usefixtures("neurobench")
TOKENS, WIDTH, DEPTH = 17, 32, 2


class Functional(nn.Module):
    """The same convolution and product, called as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.matrix = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(5, 144))

    def forward(self, images: Tensor) -> Tensor:
        return F.linear(F.relu(F.conv2d(images, self.kernel)).flatten(1), self.matrix)


@torch.no_grad()
def dense(model: Any, inputs: Tensor) -> dict[str, float]:
    from neurobench.metrics.workload import SynapticOperations

    model.register_hooks()
    found: dict[str, float] = SynapticOperations()(model, model(inputs), (inputs, None))
    model.cleanup_hooks()
    return found


def test_attention_products_are_missed_by_hooks_on_layers(tmp_path: Path) -> None:
    from neurobench.models import TorchModel

    vit = VisionTransformer(img_size=32, patch_size=8, embed_dim=WIDTH, depth=DEPTH, num_heads=4).eval()
    image = torch.randn(1, 3, 32, 32)
    to_onnx(vit, (3, 32, 32), tmp_path / "vit.onnx")
    ours = count_macs(vit, image)
    assert count_graph(tmp_path / "vit.onnx").total.macs == ours
    theirs = dense(TorchModel(vit), image)["Dense"]
    attention = DEPTH * 2 * TOKENS * TOKENS * WIDTH
    assert ours - theirs == attention > 0


def test_functional_calls_are_missed_by_hooks_on_layers(tmp_path: Path) -> None:
    from neurobench.models import TorchModel

    net, image = Functional().eval(), torch.randn(1, 3, 8, 8)
    to_onnx(net, (3, 8, 8), tmp_path / "net.onnx")
    by_hand = 36 * 4 * 27 + 5 * 144
    assert count_macs(net, image) == count_graph(tmp_path / "net.onnx").total.macs == by_hand
    assert dense(TorchModel(net), image)["Dense"] == 0
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()
    assert dense(TorchModel(layers), image)["Dense"] == by_hand, "as layers it sees the same"


def test_a_convolution_of_a_nir_graph_counts_its_edges() -> None:
    from neurobench.models import TorchModel

    conv, steps = nn.Conv2d(2, 4, 3, padding=1, bias=False), 5
    ones = np.ones((4, 8, 8))
    parts = {
        "input": nir.Input(np.array([2, 8, 8])),
        "conv": nir.Conv2d((8, 8), conv.weight.detach().numpy(), 1, 1, 1, 1, np.zeros(4)),
        "if": nir.IF(ones, ones),
        "output": nir.Output(np.array([4, 8, 8])),
    }
    graph = nir.NIRGraph(parts, [("input", "conv"), ("conv", "if"), ("if", "output")])
    images = (torch.rand(steps, 2, 8, 8) < 0.2).float()
    inputs = images.flatten(1).numpy().astype(np.float64)
    ours = counts_of_model(floats_of_graph(graph, inputs), inputs).generator
    theirs = dense(TorchModel(nn.Sequential(conv)), images)
    assert ours.synops == near(steps * theirs["Effective_ACs"])
    assert ours.synops_dense == near(steps * theirs["Dense"])
    assert ours.synops_dense < steps * 4 * 64 * 18, "at the border there are fewer"


class Stepped(nn.Module):
    """A chain of our modules, step by step from rest: (B, T, n) -> (T, B, n), as NeuroBench's custom forward."""

    def __init__(self, chain: nn.Sequential) -> None:
        super().__init__()
        self.chain = chain

    def forward(self, inputs: Tensor) -> Tensor:
        v: dict[nn.Module, Tensor] = {}
        out = []
        for x in inputs.transpose(0, 1):
            signal = x
            for module in self.chain:
                if isinstance(module, IF | LIF):
                    signal, v[module] = module(signal, v.get(module, torch.zeros_like(signal)))
                else:
                    signal = module(signal)
            out.append(signal)
        return torch.stack(out)


@pytest.mark.parametrize("target", ["reference", "loihi", "snntorch"])
def test_what_was_trained_and_what_is_deployed_are_counted_alike(target: str) -> None:
    from neurobench.models import SNNTorchModel

    chain = nn.Sequential(nn.Linear(12, 30), LIF(2.0, 0.2), nn.Linear(30, 8), LIF(3.0, 0.1))
    inputs = (torch.rand(9, 12) < 0.4).float()
    model = spiking_model(Generator(chain, 9), inputs.numpy().astype(np.float64))
    runner = SpikingTarget.named(target)
    x = inputs.numpy().astype(np.float64)
    ours = count(model.float_program, runner.run(model, x, "float"), x).total
    theirs = dense(SNNTorchModel(Stepped(chain), custom_forward=True), inputs[None])
    assert theirs == {"Effective_MACs": 0, "Effective_ACs": ours.synops, "Dense": ours.synops_dense}
    assert ours.synops > 9 * 12 * 30 * 0.3
