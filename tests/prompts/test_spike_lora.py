"""SpikeLoRA: what it adds to a layer, that it begins as the frozen network, and its neurons as a graph on targets."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from float_bounds import gamma
from net_bounds import assert_rounding_apart

from neuroprompt.bundles.export import export
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.contracts.learning import BackboneSpec, Head, Prompt, PromptSite
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.onnxgraph.spikes import spikes_in_graph
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import RunConfig
from neuroprompt.training.deploy import check_graph, spiking_model
from neuroprompt.training.loop import train
from neuroprompt.training.model import PromptedModel

NAMES = ("a.attn.qkv.weight", "a.mlp.fc1.weight")
SITE = PromptSite(
    1, 4, (3, 8, 8), 4, weights={NAMES[0]: (12, 4), NAMES[1]: (8, 4), "conv.weight": (3, 3, 2, 2)}, layers=NAMES
)


def embedded(**settings: Any) -> PromptedModel:
    backbone = load_backbone(BackboneSpec(image_size=32))
    torch.manual_seed(0)
    prompt = Prompt.named("spike-lora", site=backbone.site, **settings)
    return PromptedModel(backbone, prompt, Head.named("linear", features=backbone.features, classes=3)).eval()


def test_a_rank_passes_where_its_first_step_fires() -> None:
    """y = (alpha / sqrt r) B (S * A x), S = 1[A x / tau > threshold]; in float64."""
    prompt: Any = Prompt.named("spike-lora", site=SITE, rank=3, alpha=6.0, tau=2.0, threshold=0.25).double().eval()
    part = prompt.beside()[NAMES[0]]
    torch.nn.init.normal_(part.b)
    x = torch.randn(5, 7, 4, dtype=torch.float64)
    drive = x @ part.a.detach().T
    expected = 6 / math.sqrt(3) * torch.where(drive > 0.5, drive, 0.0) @ part.b.detach().T
    # Sums of 4 and of 3 terms and three factors, on both sides; of absolute values in the place of what cancels.
    size = 6 / math.sqrt(3) * (x.abs() @ part.a.detach().abs().T) @ part.b.detach().abs().T
    assert_rounding_apart(part(x).detach(), expected, 2 * gamma(4 + 3 + 3) * float(size.max()))
    assert bool((drive > 0.5).any())
    assert bool((drive < 0.5).any())


def test_it_begins_as_the_frozen_network() -> None:
    model = embedded()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        frozen = model.backbone(model.normalise(images))
        assert torch.equal(model.features(images), frozen)
        for part in model.prompt.beside().values():
            part.get_parameter("b").fill_(0.1)
        assert not torch.equal(model.features(images), frozen)
        assert torch.equal(model.backbone(model.normalise(images)), frozen)


@pytest.mark.parametrize(("where", "chosen"), [("auto", 1), ("attention", 1), ("all", 2)])
def test_layers_are_linear_ones(where: str, chosen: int) -> None:
    prompt: Any = Prompt.named("spike-lora", site=SITE, layers=where)
    assert tuple(prompt.beside()) == NAMES[:chosen]
    none = PromptSite(0, 4, (3, 8, 8), 1, weights={"conv.weight": (3, 3, 2, 2)})
    with pytest.raises(Unsupported, match="names none"):
        Prompt.named("spike-lora", site=none, layers=where)


@pytest.mark.parametrize(("setting", "value"), [("rank", 0), ("alpha", 0.0), ("tau", 0.5), ("threshold", -1.0)])
def test_bad_settings_are_one_line(setting: str, value: float) -> None:
    with pytest.raises(BadSetting, match=setting):
        Prompt.named("spike-lora", site=SITE, **{setting: value})


def test_its_neurons_are_a_graph_that_fires_as_the_model_does() -> None:
    """One neuron for each number of an image: the float program's spikes are the gates that the model has."""
    model, images = embedded(), torch.rand(3, 3, 32, 32)
    inputs = model.generator_inputs(images)
    generator = model.generator()
    assert generator is not None
    assert inputs.shape == (3, 1, generator.inputs)
    assert generator.inputs == 6 * 17 * 8  # blocks, tokens, ranks
    spiking = spiking_model(generator, inputs[0].double().numpy())
    counted = check_graph(spiking.graph, generator, inputs.double().numpy())
    recorded = SpikingTarget.named("loihi").run(spiking, inputs.double().numpy(), "float").spikes
    (fired,) = recorded.values()
    parts = model.prompt.beside()
    gates = [parts[name].fired(drive).reshape(3, -1) for name, drive in model.drives(images).items()]
    assert np.array_equal(fired[:, 0], torch.cat(gates, dim=1).numpy() > 0)
    counts = spikes_in_graph(model, images)
    assert counts is not None
    assert counts.spikes_per_image * 3 == counted["spikes"] == fired.sum() > 0


@pytest.mark.slow
def test_it_is_trained_and_exported_to_onnx_nir_and_lava(tmp_path: Path) -> None:
    backbone = BackboneSpec(image_size=32)
    config = RunConfig(method="spike-lora", backbone=backbone, data="digits", epochs=1, limit=40)
    run = train(config, tmp_path / "run")
    figures = export(run, tmp_path / "onnx", target="onnx").figures
    assert figures["top1_agreement"] == 1.0
    assert figures["spikes_per_image"] > 0
    checked = export(run, tmp_path / "nir", target="nir").about["checked"]
    assert checked["neurons"] == 6 * 17 * 8
    about = export(run, tmp_path / "lava", target="lava").about
    assert about["checked"]["loihi-float"]["spike_exact"] == 1.0
    assert about["checked"]["loihi-fixed"]["spike_exact"] > 0.9
