"""SwinV2-CR of timm: Christoph Reich's reading of Swin V2, whose biases no sigmoid bounds."""

from __future__ import annotations

from typing import Any

from timm.models.swin_transformer_v2_cr import (
    PatchEmbed,
    SwinTransformerV2Cr,
    SwinTransformerV2CrBlock,
    SwinTransformerV2CrStage,
    WindowMultiHeadAttention,
)
from torch import Tensor, nn

from neuroprompt.backbones._swin import Painted, Stage, with_parts
from neuroprompt.backbones._swin_v2 import Block, prompted
from neuroprompt.backbones._windows import Version, Windowed


class SwinV2CR(Windowed):
    """softmax(tau cos(q, [K, K_i]) + [bias + mask, 0]) [V, V_i],  K_i = W_k P_i + b_k,  V_i = W_v P_i + b_v.

    Liu et al., CVPR 2022 (arXiv 2111.09883), as github.com/ChristophReich1996/Swin-Transformer-V2 reads it.
    """

    version = Version(
        SwinTransformerV2Cr,
        SwinTransformerV2CrStage,
        SwinTransformerV2CrBlock,
        WindowMultiHeadAttention,
        prompted,
        lean=Block,
        embed=PatchEmbed,
    )

    @staticmethod
    def stages(model: Any) -> list[Any]:
        """timm's stages."""
        return list(model.stages)

    def grid(self, images: Tensor) -> Tensor:
        """Patch tokens (B, H', W', D); timm keeps channels first between its stages."""
        return super().grid(images).permute(0, 2, 3, 1)

    def last(self, x: Tensor) -> Tensor:
        """The same tokens, channels first: the last block has normalised them."""
        return x.permute(0, 3, 1, 2)

    def rebuilt(self, stages: list[Stage], overlay: Tensor | None) -> nn.Module:
        """The same timm model of other stages, whose channels are last until the head."""
        embed = Painted(self.model.patch_embed, overlay)
        return with_parts(self.model, patch_embed=embed, stages=nn.Sequential(*stages, _ChannelsFirst()))


class _ChannelsFirst(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)
