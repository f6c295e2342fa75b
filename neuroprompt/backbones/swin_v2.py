"""Swin Transformers V2 of timm: cosine attention, and a continuous bias of relative positions."""

from __future__ import annotations

from timm.models.swin_transformer_v2 import (
    SwinTransformerV2,
    SwinTransformerV2Block,
    SwinTransformerV2Stage,
    WindowAttention,
)

from neuroprompt.backbones._swin_v2 import Block, prompted
from neuroprompt.backbones._windows import Version, Windowed


class SwinV2(Windowed):
    """softmax(tau cos(q, [K, K_i]) + [bias + mask, 8]) [V, V_i],  K_i = W_k P_i,  V_i = W_v P_i.

    Liu et al., CVPR 2022 (arXiv 2111.09883).
    """

    version = Version(
        SwinTransformerV2, SwinTransformerV2Stage, SwinTransformerV2Block, WindowAttention, prompted, lean=Block
    )
