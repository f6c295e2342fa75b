"""BEiT, BEiT v2 and their likes of timm: relative positions bias the scores, in each block or in all alike."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.models.beit import Attention, Beit, Block
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.backbones._attention import Places
from neuroprompt.backbones._transformer import Transformer


class BEiT(Transformer):
    """A frozen timm Beit: softmax(q k^T / sqrt(d) + B) v, where B is 0 for a prompt, which has no place.

    Bao et al., ICLR 2022 (arXiv 2106.08254).
    """

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is a Beit of timm's own blocks."""
        return type(model) is Beit and all(
            type(block) is Block and type(block.attn) is Attention for block in model.blocks
        )

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Class token and patches; the bias that blocks share."""
        model = self.model
        x: Tensor = model.patch_embed(images)
        x = torch.cat([model.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        if model.pos_embed is not None:
            x = x + model.pos_embed
        return x, None if model.rel_pos_bias is None else model.rel_pos_bias()

    def block(self, i: int, x: Tensor, beside: Any, prompts: int) -> Tensor:
        """timm's block i, its own bias and the shared one filled up with 0 for prompts."""
        block = self.model.blocks[i]
        if prompts:
            block = _padded(block, prompts)
            beside = None if beside is None else F.pad(beside, (0, prompts, 0, prompts))
        out: Tensor = block(x, shared_rel_pos_bias=beside)
        return out

    def places(self, i: int, beside: Any) -> Places:
        """The sum of both biases."""
        attn = self.model.blocks[i].attn
        bias: Tensor | None = None if beside is None else beside[None]
        if attn.relative_position_bias_table is not None:
            own: Tensor = attn._get_rel_pos_bias()
            bias = own if bias is None else own + bias
        return Places(bias=bias)


def _padded(block: Any, prompts: int) -> Any:
    """The same block, whose own bias is 0 for `prompts` tokens at the end."""
    attn, twin = copy.copy(block.attn), copy.copy(block)
    if attn.relative_position_bias_table is not None:
        bias = F.pad(block.attn._get_rel_pos_bias(), (0, prompts, 0, prompts))
        attn._get_rel_pos_bias = lambda: bias
    twin._modules = {**block._modules, "attn": attn}
    return twin
