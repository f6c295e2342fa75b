"""Weights of backbones: random ones, the package's own, those of a file; what does not fit is one line."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadSetting, BadWeights, UnknownName, Unsupported
from neuroprompt.training.backbone import EMBEDDED, load_backbone


def test_random_weights_are_always_the_same() -> None:
    spec = BackboneSpec("embedded", random=True)
    state = torch.random.get_rng_state()
    a, b = load_backbone(spec), load_backbone(spec)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in a.parameters())
    assert load_backbone(BackboneSpec("embedded", image_size=32, random=True)).site.image == (3, 32, 32)


def test_embedded_weights_from_a_file(tmp_path: Path) -> None:
    model = VisionTransformer(**EMBEDDED)
    save_file({key: value.half() for key, value in model.state_dict().items()}, tmp_path / "e.safetensors")
    backbone = load_backbone(BackboneSpec("embedded", str(tmp_path / "e.safetensors")))
    parameter = next(backbone.parameters())
    assert parameter.dtype == torch.float32
    assert torch.equal(parameter, next(model.parameters()).half().float())


def test_the_packages_own_weights() -> None:
    backbone, random = load_backbone(BackboneSpec()), load_backbone(BackboneSpec(random=True))
    assert (backbone.site, backbone.features) == (random.site, 128)
    for name, parameter in backbone.named_parameters():
        assert torch.isfinite(parameter).all(), name
        assert not torch.equal(parameter, random.get_parameter(name)), name


def test_names_that_timm_does_not_have() -> None:
    with pytest.raises(UnknownName, match="vit_tiny_patch16_224"):
        load_backbone(BackboneSpec("vit_tinny_patch16_224"))
    with pytest.raises(UnknownName, match="augreg_in21k"):
        load_backbone(BackboneSpec("vit_tiny_patch16_224.nothing"))
    with torch.device("meta"), pytest.raises(Unsupported, match="no features"):
        load_backbone(BackboneSpec("gemma4_vit_167m_enc", random=True))


def test_image_sizes_that_do_not_fit() -> None:
    for size in (0, 30):
        with pytest.raises(BadSetting):
            load_backbone(BackboneSpec("embedded", image_size=size, random=True))
    with pytest.raises(BadSetting, match="patch size, 16"):
        load_backbone(BackboneSpec("vit_tiny_patch16_224", image_size=100, random=True))


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    weights = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=7).state_dict()
    file = str(tmp_path / "w.safetensors")
    spec = BackboneSpec("vit_tiny_patch16_224", file, 32)
    save_file(weights, file)
    load_backbone(spec)  # a head of another size is not our business
    without = {key: value for key, value in weights.items() if key != "blocks.3.attn.qkv.weight"}
    save_file(without, file)
    with pytest.raises(BadWeights, match=r"Missing.*blocks\.3\.attn\.qkv\.weight"):
        load_backbone(spec)
    save_file({**weights, "extra": torch.zeros(1)}, file)
    with pytest.raises(BadWeights, match=r"Unexpected.*extra"):
        load_backbone(spec)
    save_file({**weights, "norm.weight": torch.zeros(5)}, file)
    with pytest.raises(BadWeights, match=r"norm\.weight.*\[5\].*\[192\]"):
        load_backbone(spec)
    with pytest.raises(BadWeights, match="192"):
        load_backbone(BackboneSpec("vit_small_patch16_224", file, 32))


def test_weights_that_cannot_be_read(tmp_path: Path) -> None:
    noise = tmp_path / "w.safetensors"
    noise.write_bytes(b"not a safetensors file")
    header = json.dumps({"w": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}}).encode()
    huge = tmp_path / "huge.safetensors"
    huge.write_bytes(struct.pack("<Q", len(header)) + header)  # torch has no such shape
    for file, words in (
        (noise, "cannot be read"),
        (huge, "cannot be read"),
        (tmp_path / "none", "there are no weights"),
    ):
        with pytest.raises(BadWeights, match=words) as caught:
            load_backbone(BackboneSpec("vit_tiny_patch16_224", str(file)))
        assert "\n" not in str(caught.value)


def test_no_hub_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BadWeights, match="--random-weights") as caught:
        load_backbone(BackboneSpec("vit_tiny_patch16_224"))
    assert "\n" not in str(caught.value)
