"""Hiera: prompts in every mask unit, as attention is spelt out on the grid of tokens; sizes that it can take."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from net_bounds import assert_rounding_apart, rounding
from timm.models.hiera import Hiera
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess
from neuroprompt.errors import BadSetting
from neuroprompt.training.backbone import load_backbone


def small() -> Backbone:
    """Two stages of 4 x 4 and 2 x 2 tokens a mask unit, and one of all tokens, for oblong images; weights are large."""
    model = Hiera(
        img_size=(32, 48),
        embed_dim=16,
        num_heads=2,
        num_classes=0,
        stages=(2, 2, 2),
        q_pool=2,
        mask_unit_size=(4, 4),
        mask_unit_attn=(True, True, False),
    )
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.ndim == 1 else 0.2)
    family: Any = Backbone.family(model)
    assert family.name == "hiera"
    pixels = Preprocess((32, 48), (0.0,) * 3, (1.0,) * 3)
    return cast(Backbone, family(model, BackboneSpec("small", random=True), pixels).requires_grad_(False).eval())


def literal(model: Any, images: Tensor, tokens: Tensor) -> Tensor:
    """Features with tokens on their grid: no unrolled order, one mask unit after the other."""
    x = model._pos_embed(model.patch_embed(images)).unflatten(1, model.tokens_spatial_shape)
    for block, prompt in zip(model.blocks, tokens, strict=True):
        x = _literal_block(block, x, prompt[:, : block.dim])
    features: Tensor = model.forward_head(x.flatten(1, 2), pre_logits=True)
    return features


def _literal_block(block: Any, x: Tensor, prompt: Tensor) -> Tensor:
    attn, stride = block.attn, math.isqrt(block.attn.q_stride)
    y, count = block.norm1(x), len(prompt)

    def pooled(grid: Tensor) -> Tensor:
        largest: Tensor = F.max_pool2d(grid.permute(0, 3, 1, 2), stride)
        return largest.permute(0, 2, 3, 1)

    def heads(rows: Tensor) -> Tensor:
        apart: Tensor = rows.unflatten(-1, (attn.heads, -1))
        return apart.transpose(-3, -2)

    q, k, v = attn.qkv(y).chunk(3, dim=-1)
    _, prompt_k, prompt_v = attn.qkv(block.norm1(prompt)).expand(len(x), count, -1).chunk(3, dim=-1)
    q = pooled(q)
    side = math.isqrt(attn.window_size) * stride
    tall, wide = (side, side) if attn.use_mask_unit_attn else x.shape[1:3]
    rows = []
    for top in range(0, x.shape[1], tall):
        row = []
        for left in range(0, x.shape[2], wide):
            unit = slice(top, top + tall), slice(left, left + wide)
            asked = q[:, top // stride : (top + tall) // stride, left // stride : (left + wide) // stride]
            known, worth = (
                heads(torch.cat([part[:, *unit].flatten(1, 2), more], dim=1))
                for part, more in ((k, prompt_k), (v, prompt_v))
            )
            scores = heads(asked.flatten(1, 2)) @ known.mT * attn.scale
            mixed = (scores.softmax(-1) @ worth).transpose(1, 2).flatten(2)
            row.append(mixed.unflatten(1, asked.shape[1:3]))
        rows.append(torch.cat(row, dim=2))
    x = pooled(block.proj(y)) if block.do_expand else x
    x = x + attn.proj(torch.cat(rows, dim=1))
    out: Tensor = x + block.mlp(block.norm2(x))
    return out


@pytest.mark.floats
def test_prompts_are_keys_and_values_in_every_mask_unit() -> None:
    backbone = small().double()
    model = cast(Any, backbone).model
    assert [block.attn.use_mask_unit_attn for block in model.blocks] == [True] * 5 + [False]
    assert [block.attn.q_stride for block in model.blocks] == [1, 1, 4, 1, 4, 1]
    images, tokens = torch.randn(2, 3, 32, 48).double(), torch.randn(6, 5, 64).double()

    def spelt_out(images: Tensor, tokens: Tensor) -> Tensor:
        return literal(model, images, tokens)

    bounds = rounding(backbone, images, tokens), rounding(spelt_out, images, tokens)
    assert_rounding_apart(backbone(images, tokens), spelt_out(images, tokens), *bounds)
    assert (backbone(images, tokens) - backbone(images)).abs().max() > 1e-2
    tokens[4, 0, 3] *= 1.01
    with pytest.raises(AssertionError, match="not close"):
        assert_rounding_apart(backbone(images, tokens), spelt_out(images, tokens / 1.0001), *bounds)


def test_only_a_blocks_own_channels_are_read_and_learn() -> None:
    backbone = small()
    assert backbone.site.widths == (16, 16, 16, 32, 32, 64)
    images, tokens = torch.randn(2, 3, 32, 48), torch.randn(6, 5, 64, requires_grad=True)
    backbone(images, tokens).square().sum().backward()
    assert tokens.grad is not None
    for grad, width in zip(tokens.grad, backbone.site.widths, strict=True):
        assert bool((grad[:, :width] != 0).all())
        assert not bool(grad[:, width:].any())
    entering = backbone.block_inputs(images)
    assert [x.shape[1:] for x in entering] == [(96, 16)] * 3 + [(24, 32)] * 2 + [(6, 64)]


@pytest.mark.parametrize("size", [30, 48])
def test_images_that_are_no_whole_mask_units_are_one_line(size: int) -> None:
    with torch.device("meta"), pytest.raises(BadSetting, match=rf"{size} x {size} pixels.* 32") as caught:
        load_backbone(BackboneSpec("hiera_tiny_224", image_size=size, random=True))
    assert "\n" not in str(caught.value)
