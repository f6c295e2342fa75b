"""Swin Transformers of timm, the first version."""

from __future__ import annotations

from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock, SwinTransformerStage, WindowAttention

from neuroprompt.backbones._swin import Block, prompted
from neuroprompt.backbones._windows import Version, Windowed


class Swin(Windowed):
    """softmax(q [K, K_i]^T / sqrt(d) + [bias + mask, 0]) [V, V_i],  K_i = W_k norm1(P_i),  V_i = W_v norm1(P_i).

    Liu et al., ICCV 2021 (arXiv 2103.14030).
    """

    version = Version(
        SwinTransformer, SwinTransformerStage, SwinTransformerBlock, WindowAttention, prompted, lean=Block
    )
