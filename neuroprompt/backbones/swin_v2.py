"""Swin Transformers V2 of timm: cosine attention, and a continuous bias of relative positions."""

from __future__ import annotations

from typing import Any

from timm.layers.patch_embed import PatchEmbed
from timm.models.swin_transformer_v2 import (
    SwinTransformerV2,
    SwinTransformerV2Block,
    SwinTransformerV2Stage,
    WindowAttention,
)
from torch import Tensor, nn

from neuroprompt.backbones._swin_v2 import Block, prompted
from neuroprompt.backbones._windows import Windowed


class SwinV2(Windowed):
    """softmax(tau cos(q, [K, K_i]) + [bias + mask, 8]) [V, V_i],  K_i = W_k P_i,  V_i = W_v P_i.

    Liu et al., CVPR 2022 (arXiv 2111.09883).
    """

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is a SwinTransformerV2 of timm's own stages, blocks and window attention."""
        return (
            type(model) is SwinTransformerV2
            and type(model.patch_embed) is PatchEmbed
            and all(type(stage) is SwinTransformerV2Stage and _plain(stage) for stage in model.layers)
        )

    @staticmethod
    def prompted(block: Any, x: Tensor, prompt: Tensor) -> Tensor:
        """timm's block with a prompt in every window."""
        return prompted(block, x, prompt)

    @staticmethod
    def block(block: Any, prompt: Tensor | None) -> nn.Module:
        """The block in fewer operators."""
        return Block(block, prompt)


def _plain(stage: Any) -> bool:
    return all(type(block) is SwinTransformerV2Block and type(block.attn) is WindowAttention for block in stage.blocks)
