"""Spikes of neurons that stand in an exported graph are counted, image by image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from float_bounds import near

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.onnxgraph.spikes import spikes_in_graph
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import RunConfig
from neuroprompt.training.model import PromptedModel

SPEC = BackboneSpec("embedded", image_size=16, random=True)
IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def untrained(method: str, **settings: Any) -> PromptedModel:
    config = RunConfig(method, settings, SPEC, classes=("a", "b"))
    return assemble(config, load_backbone(SPEC)).eval()


@pytest.mark.parametrize("memory", ["lif", "slstm"])
def test_a_memory_that_spikes(memory: str) -> None:
    model = untrained("lspt", memory=memory, tokens=4, lstm_hidden=8)
    counted = spikes_in_graph(model, IMAGES)
    assert counted is not None
    updates = (model.backbone.site.depth - 1) * 4 * 8
    assert counted.spikes_per_image == near(counted.spike_density * updates)
    one_by_one = [spikes_in_graph(model, image[None]) for image in IMAGES]
    assert counted.spikes_per_image == near(sum(each.spikes_per_image for each in one_by_one if each) / 3)
    assert 0 < counted.spike_density < 1


def test_pixels_that_neurons_make() -> None:
    model = untrained("lorsp")
    counted = spikes_in_graph(model, IMAGES)
    assert counted is not None
    assert counted.spikes_per_image == near(counted.spike_density * 4 * 3 * 16 * 16)
    assert 0 < counted.spike_density < 0.5


@pytest.mark.parametrize(("method", "settings"), [("lspt", {}), ("lorsp", {"gate": "mean"}), ("spike-nvpt", {})])
def test_no_neurons_in_the_graph(method: str, settings: dict[str, Any]) -> None:
    assert spikes_in_graph(untrained(method, **settings), IMAGES) is None
