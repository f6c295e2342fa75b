"""Vision Transformers of timm with relative positions in place of a table: learned, or by a small network."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.models.vision_transformer_relpos import (
    RelPosAttention,
    RelPosBlock,
    ResPostRelPosBlock,
    VisionTransformerRelPos,
)
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.backbones._attention import Places
from neuroprompt.backbones._transformer import Transformer


class RelPos(Transformer):
    """A frozen timm VisionTransformerRelPos: softmax(q k^T / sqrt(d) + B) v, where B is 0 for a prompt."""

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is a VisionTransformerRelPos of timm's own blocks."""
        return type(model) is VisionTransformerRelPos and all(
            type(block) in (RelPosBlock, ResPostRelPosBlock) and type(block.attn) is RelPosAttention
            for block in model.blocks
        )

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Class token, where there is one, and patches; the bias that blocks share."""
        model = self.model
        x: Tensor = model.patch_embed(images)
        if model.cls_token is not None:
            x = torch.cat([model.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        return x, None if model.shared_rel_pos is None else model.shared_rel_pos.get_bias()

    def block(self, i: int, x: Tensor, beside: Any, prompts: int) -> Tensor:
        """timm's block i, its own bias or the shared one filled up with 0 for prompts."""
        block = self.model.blocks[i]
        if prompts:
            attn, twin = copy.copy(block.attn), copy.copy(block)
            if attn.rel_pos is not None:
                attn._modules = {**attn._modules, "rel_pos": _Padded(attn.rel_pos.get_bias(), prompts)}
            twin._modules = {**block._modules, "attn": attn}
            block, beside = twin, None if beside is None else F.pad(beside, (0, prompts, 0, prompts))
        out: Tensor = block(x, shared_rel_pos=beside)
        return out

    def places(self, i: int, beside: Any) -> Places:
        """The block's own bias, or the shared one."""
        own = self.model.blocks[i].attn.rel_pos
        return Places(bias=beside if own is None else own.get_bias())


class _Padded(nn.Module):
    """A bias that is 0 for `prompts` tokens at the end."""

    def __init__(self, bias: Tensor, prompts: int) -> None:
        super().__init__()
        self.bias = F.pad(bias, (0, prompts, 0, prompts))

    def get_bias(self) -> Tensor:
        return self.bias

    def forward(self, attn: Tensor, shared_rel_pos: Tensor | None = None) -> Tensor:
        return attn + self.bias
