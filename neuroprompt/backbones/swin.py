"""Swin Transformers of timm, the first version."""

from __future__ import annotations

from typing import Any

from timm.layers.patch_embed import PatchEmbed
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock, SwinTransformerStage, WindowAttention
from torch import Tensor, nn

from neuroprompt.backbones._swin import Block, prompted
from neuroprompt.backbones._windows import Windowed


class Swin(Windowed):
    """softmax(q [K, K_i]^T / sqrt(d) + [bias + mask, 0]) [V, V_i],  K_i = W_k norm1(P_i),  V_i = W_v norm1(P_i).

    Liu et al., ICCV 2021 (arXiv 2103.14030).
    """

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is a SwinTransformer of timm's own stages, blocks and window attention."""
        return (
            isinstance(model, SwinTransformer)
            and type(model).forward_features is SwinTransformer.forward_features
            and type(model.patch_embed) is PatchEmbed
            and all(type(stage) is SwinTransformerStage and _plain(stage) for stage in model.layers)
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
    return all(type(block) is SwinTransformerBlock and type(block.attn) is WindowAttention for block in stage.blocks)
