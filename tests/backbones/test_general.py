"""The general family: any other classifier of timm, its own features, an overlay that is added exactly, refusals."""

from __future__ import annotations

from typing import Any, cast

import pytest
import timm
import torch
from torch import nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.training.backbone import load_backbone

NETS = {"test_convnext": None, "test_nfnet": 64, "test_mambaout": 96, "test_maxvit": None, "fastvit_t8": 64}
"""Convolutions, standardised weights, gates, windows, and a stem of several branches, which all read the image."""


def load(name: str, size: int | None = None) -> Backbone:
    return load_backbone(BackboneSpec(name, image_size=size, random=True))


def test_there_is_one_fallback_and_it_comes_last() -> None:
    fallbacks = [name for name in Backbone.names() if Backbone.part(name).fallback]
    assert fallbacks == ["general"]
    for name, family in {"test_vit": "vit", "test_resnet": "resnet", "test_convnext": "general"}.items():
        model = timm.create_model(name, num_classes=0)
        assert Backbone.part("general").holds(model)
        held = Backbone.family(model)
        assert held is Backbone.part(family)
    assert Backbone.family(nn.Identity()) is None


@pytest.mark.parametrize(("name", "size"), NETS.items())
def test_features_are_timms_and_an_overlay_is_an_addition(name: str, size: int | None) -> None:
    backbone = load(name, size)
    assert type(backbone).name == "general"
    images, overlay = torch.randn(2, *backbone.site.image), torch.randn(backbone.site.image)
    features = backbone(images)
    assert features.shape == (2, backbone.features)
    assert torch.equal(features, cast(Any, backbone).model(images))
    assert torch.equal(backbone.baked()(images), features)
    added = backbone(images + overlay)
    assert not torch.equal(added, features)
    assert torch.equal(backbone.baked(None, overlay)(images), added)


def test_what_cannot_enter() -> None:
    backbone = load("test_convnext", 64)
    with pytest.raises(Unsupported, match="prompt tokens in 'test_convnext'"):
        backbone(torch.randn(1, *backbone.site.image), torch.randn(1, 5, 8))
    with pytest.raises(Unsupported, match="pixel prompt"):
        backbone.baked(torch.randn(1, 5, 8))
    with pytest.raises(BadSetting, match=r"\(3, 16, 16\).*\(3, 64, 64\)"):
        backbone.baked(None, torch.randn(3, 16, 16))


@pytest.mark.parametrize("size", [1, 100])
def test_a_size_that_the_network_cannot_take_is_one_line(size: int) -> None:
    with torch.device("meta"), pytest.raises(BadSetting, match="pixels") as caught:
        load("maxvit_tiny_tf_224", size)
    assert "\n" not in str(caught.value)


def test_tied_weights_are_no_obstacle() -> None:
    """CoaT's parallel blocks have one MLP in three places: looking at shapes leaves its weights where they were."""
    backbone = load("coat_tiny", 32)
    assert backbone.site.image == (3, 32, 32)
    assert {parameter.device.type for parameter in backbone.parameters()} == {"cpu"}
    assert bool(backbone(torch.rand(1, 3, 32, 32)).isfinite().all())


def test_a_network_without_features_is_rejected() -> None:
    with torch.device("meta"), pytest.raises(Unsupported, match="no features") as caught:
        load("gemma4_vit_167m_enc")
    assert "\n" not in str(caught.value)
