"""Multiply-accumulates: against torch's and fvcore's counters, and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.onnxgraph.macs import count_macs
from neuroprompt.training.backbone import load_backbone

VIT: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
TOKENS, WIDTH = 17, 32
ATTENTION = 2 * 2 * TOKENS * TOKENS * WIDTH  # two blocks, two products


def by_torch(module: nn.Module, image: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        module(image)
    return int(counter.get_total_flops()) // 2


def by_fvcore(module: nn.Module, image: Tensor) -> dict[str, float]:
    """Multiply-accumulates by operator; fvcore calls them flops."""
    from fvcore.nn import FlopCountAnalysis

    counted = FlopCountAnalysis(module, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return dict(counted.by_operator())


def unfuse(model: Any) -> None:
    for block in model.blocks:
        block.attn.fused_attn = False


@pytest.mark.parametrize("flavour", [{}, {"class_token": False, "global_pool": "map"}, {"reg_tokens": 3}])
def test_a_vit_equals_torchs_counter(flavour: dict[str, Any]) -> None:
    model, image = VisionTransformer(**VIT, **flavour).eval(), torch.randn(1, 3, 32, 32)
    assert count_macs(model, image) == by_torch(model, image) > 0


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "efficientnet_lite0"])
def test_a_conv_net_equals_torchs_counter(name: str) -> None:
    model, image = timm.create_model(name).eval(), torch.randn(1, 3, 64, 64)
    assert count_macs(model, image) == by_torch(model, image) > 0


@pytest.mark.filterwarnings("ignore")  # fvcore needs torch.jit, which is deprecated
def test_a_conv_net_and_a_vit_equal_fvcore_but_for_norms() -> None:
    """Beside products, fvcore charges five flops a channel for LayerNorm; it cannot see into fused attention."""
    convs = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4), nn.Flatten())
    net, image = nn.Sequential(convs, nn.Linear(8 * 14 * 14, 5)), torch.randn(1, 3, 32, 32)
    assert count_macs(net, image) == sum(by_fvcore(net, image).values())

    vit = VisionTransformer(**VIT).eval()
    unfuse(vit)
    theirs = by_fvcore(vit, image)
    assert theirs.pop("layer_norm") == 5 * 5 * TOKENS * WIDTH
    assert count_macs(vit, image) == sum(theirs.values())


def test_a_vit_by_hand() -> None:
    model = VisionTransformer(**VIT, num_classes=0).eval()
    linear = 16 * 3 * 64 * WIDTH + 2 * TOKENS * 12 * WIDTH * WIDTH
    assert count_macs(model, torch.randn(4, 3, 32, 32)) == linear + ATTENTION


def test_fused_and_plain_attention_count_alike() -> None:
    model, image = VisionTransformer(**VIT).eval(), torch.randn(1, 3, 32, 32)
    fused = count_macs(model, image)
    unfuse(model)
    assert count_macs(model, image) == fused


def test_a_baked_prompt_costs_its_keys_and_values_alone() -> None:
    backbone = load_backbone(BackboneSpec("embedded", random=True))
    image, tokens = torch.randn(1, 3, 64, 64), torch.randn(6, 10, 128)
    bare, baked = count_macs(backbone.baked(None), image), count_macs(backbone.baked(tokens), image)
    assert baked - bare == (5 * 65 + 1) * 2 * 10 * 128
    unbaked = count_macs(Prompted(backbone, tokens), image)
    unprompted = count_macs(backbone, image)
    assert unbaked - unprompted == 6 * (12 * 10 * 128 * 128 + 2 * (75 * 75 - 65 * 65) * 128)


def test_the_last_block_makes_no_token_that_the_head_does_not_read() -> None:
    """64 of 65 tokens need no queries, attention, projection and MLP there: 10 D^2 and 2 n D multiplications each."""
    backbone, image = load_backbone(BackboneSpec("embedded", random=True)), torch.randn(1, 3, 64, 64)
    saved = count_macs(backbone, image) - count_macs(backbone.baked(None), image)
    assert saved == 64 * (10 * 128 * 128 + 2 * 65 * 128)


def test_transposed_convolution_and_inference_mode() -> None:
    model, image = nn.ConvTranspose2d(4, 6, 3, 2, groups=2), torch.randn(1, 4, 5, 5)
    with torch.inference_mode():
        assert count_macs(model, image) == 4 * 25 * 3 * 9
    assert count_macs(model, image) == by_torch(model, image)


class Prompted(nn.Module):
    def __init__(self, backbone: nn.Module, tokens: Tensor) -> None:
        super().__init__()
        self.backbone, self.tokens = backbone, tokens

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.backbone(images, self.tokens)
        return features
