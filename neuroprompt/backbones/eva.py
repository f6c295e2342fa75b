"""Transformers of timm's class Eva: EVA, EVA-02, DINOv3, Perception Encoder and others, with rotary positions."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.layers.attention import AttentionRope
from timm.models.eva import Eva as TimmEva
from timm.models.eva import EvaAttention, EvaBlock, EvaBlockPostNorm
from torch import Tensor, nn

from neuroprompt.backbones._attention import Places
from neuroprompt.backbones._transformer import Transformer

BLOCKS, ATTENTION = (EvaBlock, EvaBlockPostNorm), (EvaAttention, AttentionRope)


class Eva(Transformer):
    """A frozen timm Eva; patches are rotated by their places (RoPE), class token, registers and prompts are not.

    q_i = R_i W_q x_i,  k_j = R_j W_k x_j,  R = 1 for a prompt.  EVA-02: Fang et al. 2023 (arXiv 2303.11331).
    """

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is an Eva of timm's own blocks."""
        return type(model) is TimmEva and all(
            type(block) in BLOCKS and type(block.attn) in ATTENTION for block in model.blocks
        )

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Class token, registers and patches; the rotation of patches."""
        x, rope = self.model._pos_embed(self.model.patch_embed(images))
        return self.model.norm_pre(x), rope

    def block(self, i: int, x: Tensor, beside: Any, prompts: int) -> Tensor:
        """timm's block i, with prompts in the place of class tokens, which it does not rotate."""
        rope, block = self._rope(i, beside), self.model.blocks[i]
        if not prompts or rope is None:
            out: Tensor = block(x, rope=rope)
            return out
        n = x.shape[1] - prompts
        x = _with_prefix(block, prompts)(torch.cat([x[:, n:], x[:, :n]], dim=1), rope=rope)
        return torch.cat([x[:, prompts:], x[:, :prompts]], dim=1)

    def places(self, i: int, beside: Any) -> Places:
        """The rotation of patches."""
        half = bool(getattr(self.model.blocks[i].attn, "rotate_half", False))
        return Places(self._rope(i, beside), half, int(self.model.num_prefix_tokens))

    def _rope(self, i: int, beside: Any) -> Tensor | None:
        """(P, 2 d) or (heads, P, 2 d); mixed RoPE has one for each block."""
        rope: Tensor | None = beside[i] if beside is not None and self.model.rope_mixed else beside
        return rope


def _with_prefix(block: Any, more: int) -> Any:
    """The same block, whose attention leaves `more` tokens at the beginning unrotated."""
    attn, twin = copy.copy(block.attn), copy.copy(block)
    attn.num_prefix_tokens += more
    twin._modules = {**block._modules, "attn": attn}
    return twin
