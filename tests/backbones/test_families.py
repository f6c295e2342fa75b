"""The smallest architecture of each of timm's files: it trains a step, is exported, and the file agrees with it.

NEUROPROMPT_FAMILIES=all takes every file of timm, 1/4 every fourth; the default is every tenth.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest
import timm
import torch
from torch.nn.functional import cross_entropy

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Head, Prompt
from neuroprompt.errors import BadSetting
from neuroprompt.onnxgraph.deployable import Unbaked, deployed
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.parity import check_file
from neuroprompt.training.architectures import table
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.model import PromptedModel

SIZES = (32, 64, 96, 128, 160, 192, None)
"""Sides that are tried, the smallest first; None is the architecture's own."""
MOST_PARAMETERS = 60_000_000
"""Larger ones take minutes to export, and all of memory."""


def smallest_of_each() -> list[str]:
    """The architecture of fewest parameters of each file of timm that has one which takes pixels."""
    known = table()
    files = [[name for name in timm.list_models(module=file) if known[name].pixels] for file in timm.list_modules()]
    names = [min(names, key=lambda name: known[name].parameters) for names in files if names]
    return [name for name in names if known[name].parameters <= MOST_PARAMETERS]


def chosen() -> list[str]:
    """A share of them."""
    asked = os.environ.get("NEUROPROMPT_FAMILIES", "1/10")
    return smallest_of_each()[:: 1 if asked == "all" else round(1 / Fraction(asked))]


def loaded(name: str) -> Backbone:
    """The architecture with random weights at the smallest size that it can take."""
    for size in SIZES:
        try:
            with torch.device("meta"):
                load_backbone(BackboneSpec(name, image_size=size, random=True))
            return load_backbone(BackboneSpec(name, image_size=size, random=True))
        except BadSetting:
            assert size is not None, "not even at its own size"
    raise AssertionError("unreachable")


@pytest.mark.slow
@pytest.mark.floats
@pytest.mark.parametrize("name", chosen())
def test_a_step_and_an_export(name: str, tmp_path: Path) -> None:
    backbone = loaded(name)
    prompt = Prompt.named("lor-vp", site=backbone.site)
    model = PromptedModel(backbone, prompt, Head.named("linear", features=backbone.features, classes=4))
    torch.nn.init.normal_(model.head.get_parameter("weight"))
    for parameter in prompt.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    images = torch.rand(4, *backbone.site.image)
    optimiser = torch.optim.SGD(model.learned().values(), lr=0.1)
    cross_entropy(model.train()(images), torch.arange(4)).backward()
    gradients = [parameter.grad for parameter in prompt.parameters()]
    assert all(gradient is not None and bool(gradient.any()) for gradient in gradients)
    optimiser.step()
    to_onnx(deployed(model), backbone.site.image, tmp_path / "model.onnx")
    with torch.no_grad():
        check_file(tmp_path / "model.onnx", Unbaked(model), model.inputs(images), batches=(1, 3))
