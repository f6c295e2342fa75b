"""Prompt tokens that depend on the image, in a backbone: temperatures, means over patches, and no state that leaks."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
import torch
from float_bounds import gamma
from net_bounds import assert_rounding_apart, rounding
from stream_nets import MEMORIES, prompt_for, small
from torch import Tensor, nn

from neuroprompt.contracts.learning import Stream


class Plain(Stream):
    """Shallow prompts as they are, with temperatures to try."""

    def __init__(self, tokens: Tensor, temperatures: Tensor | None) -> None:
        self.tokens, self.temperatures = tokens, temperatures

    def enter(self, patches: Tensor) -> Tensor:
        return self.tokens.expand(patches.shape[0], -1, -1)

    def after(self, block: int, prompts: Tensor, patches: Tensor) -> Tensor:
        return prompts


FLAVOURS: dict[str, dict[str, Any]] = {
    "plain": {},
    "qk-norm": {"qk_norm": True},
    "gated": {"gated": True},
    "scaled": {"scale_attn_norm": True, "scale_mlp_norm": True, "init_values": 0.3},
    "no-bias": {"qkv_bias": False, "class_token": False, "global_pool": "avg"},
}


@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
def test_temperatures_of_attention(flavour: dict[str, Any]) -> None:
    backbone = small(**flavour)
    images, tokens = torch.randn(2, 3, 32, 32).double(), torch.randn(3, 24).double()
    plain = backbone(images, tokens.view(1, 3, 24))
    cold = rounding(lambda x: backbone(x, Plain(tokens, None)), images)
    assert_rounding_apart(backbone(images, Plain(tokens, None)), plain, cold, cold)
    assert_rounding_apart(backbone(images, Plain(tokens, torch.ones(4).double())), plain, cold, cold)
    heat = torch.tensor([0.5, 2.0, 1.5, 0.25]).double()
    found = backbone(images, Plain(tokens, heat))
    hot = rounding(lambda x: backbone(x, Plain(tokens, heat)), images)
    other = copy.deepcopy(backbone)  # the same by timm's own unfused attention, of another scale
    for block, t in zip(cast(Any, other).model.blocks, heat, strict=True):
        block.attn.fused_attn, block.attn.scale = False, block.attn.scale / float(t)
    assert_rounding_apart(found, other(images, Plain(tokens, None)), hot, hot)
    assert float((found - plain).abs().max()) > 1e-3
    lean = backbone.baked()
    leanly = rounding(lambda x: lean(x, Plain(tokens, heat)), images)
    assert_rounding_apart(lean(images, Plain(tokens, heat)), found, leanly, hot)
    leanly = rounding(lambda x: lean(x, Plain(tokens, None)), images)
    assert_rounding_apart(lean(images, Plain(tokens, None)), plain, leanly, cold)


@pytest.mark.parametrize(
    ("method", "settings"), [("gate-vpt", {}), *[("lspt", {"memory": m, "lstm_hidden": 7}) for m in MEMORIES]]
)
@torch.no_grad()
def test_nothing_leaks_between_images_or_passes(method: str, settings: dict[str, Any]) -> None:
    backbone = small()
    prompt = prompt_for(backbone, method, **settings)
    images = torch.randn(3, 3, 32, 32).double()
    together = backbone(images, prompt.stream())
    assert torch.equal(backbone(images, prompt.stream()), together)
    alone = torch.cat([backbone(image[None], prompt.stream()) for image in images])
    bound, lean = rounding(lambda x: backbone(x, prompt.stream()), images), backbone.baked()
    assert_rounding_apart(together, alone, bound, bound)
    leanly = rounding(lambda x: lean(x, prompt.stream()), images)
    assert_rounding_apart(lean(images, prompt.stream()), together, leanly, bound)
    assert float((together - backbone(images)).abs().max()) > 1e-3


def test_the_mean_is_over_patches_alone() -> None:
    """Neither the class token, the register nor a prompt: the last block's input says what the code before added."""
    backbone, seen = small(), dict[int, tuple[Tensor, Tensor]]()
    blocks = cast(Any, backbone).model.blocks
    for i, block in enumerate(blocks):
        block.register_forward_hook(lambda _m, args, out, i=i: seen.__setitem__(i, (args[0], out)))
    prompt = prompt_for(backbone, "lspt")
    for parameter in prompt.back.parameters():
        nn.init.zeros_(parameter)
    backbone(torch.randn(2, 3, 32, 32).double(), prompt.stream())
    for i in range(3):
        left, entered = seen[i][1], seen[i + 1][0]
        assert left.shape == (2, 2 + 16 + 3, 24)
        mean = left[:, 2:18].mean(1, keepdim=True)
        # 16 patches, the division and the sum: 18 roundings on either side.
        limit = 2 * gamma(18) * (left[:, 18:].abs() + left[:, 2:18].abs().mean(1, keepdim=True))
        assert bool(((entered[:, 18:] - left[:, 18:] - mean).abs() <= limit).all())
        assert torch.equal(entered[:, :18], left[:, :18])
