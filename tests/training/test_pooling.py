"""`--pool`: features are the class token, or a mean or maximum of patches behind the last norm; never a prompt's."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from net_bounds import rounding
from torch import Tensor, nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Head
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.progress import Progress
from neuroprompt.training.assemble import build
from neuroprompt.training.backbone import load_backbone, load_classifier
from neuroprompt.training.config import RunConfig


class Prompted(nn.Module):
    """A backbone with prompt tokens."""

    def __init__(self, backbone: Backbone, tokens: Tensor) -> None:
        super().__init__()
        self.backbone, self.tokens = backbone, tokens

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.backbone(images, self.tokens)
        return features


def load(name: str, pool: str | None) -> Backbone:
    return load_backbone(BackboneSpec(name, random=True, image_size=64, pool=pool))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_tiny_patch16_dinov3_qkvb", "cait_xxs24_224"])
def test_patches_are_pooled_behind_the_last_norm(name: str) -> None:
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        backbone = load(name, "avg")
        tokens = cast(Any, backbone).model.forward_features(images)
        patches = tokens[:, -16:]
        normalised = getattr(cast(Any, backbone).model, "fc_norm", nn.Identity())
        # timm computes the same mean in the same way: no rounding lies between.
        assert torch.equal(backbone(images), normalised(patches.mean(1)))
        assert torch.equal(load(name, "token")(images), tokens[:, 0])


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax"])
def test_prompts_are_not_pooled(pool: str) -> None:
    backbone = load("test_vit", pool).double()
    images = torch.randn(2, 3, 64, 64).double()
    tokens = torch.randn(6, 3, 64).double()
    unbaked, baked = Prompted(backbone, tokens), backbone.baked(tokens)
    apart = float((baked(images) - unbaked(images)).abs().max())
    assert apart <= rounding(unbaked, images) + rounding(baked, images)


@pytest.mark.parametrize(
    ("name", "pool"),
    [
        ("test_vit", "map"),
        ("test_vit", "mean"),
        ("test_resnet", "token"),
        ("test_resnet", "map"),
        ("mixer_s32_224", "max"),
    ],
)
def test_what_it_cannot_do_is_one_line(name: str, pool: str) -> None:
    with pytest.raises(BadSetting, match="--pool") as caught:
        load_backbone(BackboneSpec(name, random=True, pool=pool))
    assert "\n" not in str(caught.value)


def test_a_run_keeps_its_pooling() -> None:
    config = RunConfig("linear", backbone=BackboneSpec("test_vit", random=True, pool="avg"), classes=("a", "b"))
    again = RunConfig.from_json(config.json())
    assert again == config
    assert cast(Any, build(again).backbone).model.global_pool == "avg"
    before = {key: value for key, value in config.json()["backbone"].items() if key != "pool"}
    assert RunConfig.from_json({**config.json(), "backbone": before}).backbone.pool is None


def test_a_projection_is_no_classifier() -> None:
    for name in ("vit_base_patch32_clip_224.openai", "vit_pe_core_tiny_patch16_384.fb"):
        with torch.device("meta"), pytest.raises(Unsupported, match="image and text share") as caught:
            load_classifier(BackboneSpec(name, random=True))
        assert "\n" not in str(caught.value)
    with torch.device("meta"):
        tuned = load_classifier(BackboneSpec("vit_base_patch32_clip_224.laion2b_ft_in1k", random=True))
    assert Head.named("frequency", features=768, classes=3, classifier=tuned.to_empty(device="cpu")) is not None


def test_another_size_of_evaluation_is_said() -> None:
    class Said(Progress):
        lines: list[str] = []  # noqa: RUF012

        def say(self, line: str) -> None:
            self.lines.append(line)

    for size in (None, 224):
        with torch.device("meta"):
            load_backbone(BackboneSpec("resnet50.tv2_in1k", random=True, image_size=size), Said())
    (line,) = Said.lines
    assert "176 pixels" in line
    assert "--image-size 224" in line
