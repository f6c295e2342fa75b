"""XCiT of timm: attention between channels, whose covariances prompt tokens add to."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.models.xcit import XCA, XCABlock, Xcit
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.backbones._attention import projections
from neuroprompt.backbones._transformer import Transformer
from neuroprompt.contracts.learning import Stream
from neuroprompt.errors import Unsupported


class XCiT(Transformer):
    """A frozen timm Xcit; prompts enter the attention of every block, and nothing of them goes on.

    Attention is softmax(t q k^T / (|q| |k|)) v of channels, q, k (d, n + N) and v (d, n) of normalised tokens, where
    |q| is that of each channel over all tokens. So prompts P are constants: q_P k_P^T, |q_P|^2 and |k_P|^2. Only deep
    prompts: between its blocks' attention and MLP a token meets its neighbours on the grid, and a prompt has none.

    El-Nouby et al., NeurIPS 2021 (arXiv 2106.09681).
    """

    prefixed = False
    handed_on = False
    takes_keys = False

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is an Xcit of timm's own blocks."""
        return type(model) is Xcit and all(
            type(block) is XCABlock and type(block.attn) is XCA for block in model.blocks
        )

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patches, and the size of their grid."""
        model = self.model
        x, (height, width) = model.patch_embed(images)
        if model.pos_embed is not None:
            x = x + model.pos_embed(x.shape[0], height, width).reshape(x.shape[0], -1, x.shape[1]).permute(0, 2, 1)
        return x, (height, width)

    def forward(self, images: Tensor, tokens: Tensor | Stream | None = None, keyed: int = 0) -> Tensor:
        """Features (B, F) of images (B, C, H, W) with tokens (depth, N, D); raises Unsupported, BadSetting."""
        if isinstance(tokens, Stream):
            self._only_deep()
        return super().forward(images, tokens, keyed)

    def block(self, i: int, x: Tensor, beside: Any, prompts: int) -> Tensor:
        """timm's block i of patches and prompts (B, n + N, D); what follows attention is of patches alone."""
        block, n = self.model.blocks[i], x.shape[1] - prompts
        if not prompts:
            out: Tensor = block(x, *beside)
            return out
        x, y = x[:, :n], block.norm1(x)
        return _rest(block, x, block.attn(y)[:, :n], *beside)

    def _run(self, i: int, x: Tensor, beside: Any, prompts: int) -> Tensor:
        lean = self.model.blocks[i]
        out: Tensor = lean(x, *beside) if isinstance(lean, _Block) else self.block(i, x, beside, prompts)
        return out

    def _training_blocks(self) -> list[nn.Module]:
        grid = self.beside()
        return [_TrainingBlock(block, grid) for block in self.model.blocks]

    def _blocks(self, tokens: Tensor | None, keyed: int = 0) -> list[nn.Module]:
        prompts = [None] * self.site.depth if tokens is None or not self.is_deep(tokens) else tokens.detach()
        return [_Block(block, prompt) for block, prompt in zip(self.model.blocks, prompts, strict=True)]

    def is_deep(self, tokens: Tensor) -> bool:
        """Yes; raises Unsupported for tokens that are handed on."""
        if not super().is_deep(tokens):
            self._only_deep()
        return True

    def _only_deep(self) -> None:
        got = "prompt tokens that are handed on from block to block, in an XCiT"
        raise Unsupported(got, "tokens of every block's own", "choose vpt-deep or a Vision Transformer")


def _rest(block: Any, x: Tensor, attended: Tensor, height: int, width: int) -> Tensor:
    """A block behind its attention: both other branches, of patches (B, n, D)."""
    x = x + block.gamma1 * attended
    x = x + block.gamma3 * block.local_mp(block.norm3(x), height, width)
    out: Tensor = x + block.gamma2 * block.mlp(block.norm2(x))
    return out


def _covariances(block: Any, normed: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """q k^T, |q|^2 and |k|^2 of every channel over normalised prompt tokens (N, D), each (heads, d, ...), in `kind`."""
    q, k = (
        F.linear(normed, weight.to(kind), None if bias is None else bias.to(kind))
        .unflatten(-1, (block.attn.num_heads, -1))
        .permute(1, 2, 0)
        for weight, bias in projections(block.attn)[:2]
    )
    return q @ k.mT, _squares(q), _squares(k)


def _attended(block: Any, x: Tensor, prompt: tuple[Tensor, Tensor, Tensor] | None) -> Tensor:
    """What timm's attention gives for patches (B, n, D), with the `_covariances` of prompts or without."""
    attn, split = block.attn, (3, block.attn.num_heads, -1)
    q, k, v = attn.qkv(block.norm1(x)).unflatten(-1, split).permute(2, 0, 3, 4, 1)  # (B, heads, d, n)
    covariance, q_square, k_square = q @ k.transpose(-2, -1), _squares(q), _squares(k)
    if prompt is not None:
        covariance = covariance + prompt[0]
        q_square, k_square = q_square + prompt[1], k_square + prompt[2]
    norms = q_square.sqrt().clamp(min=1e-12) * k_square.sqrt().clamp(min=1e-12).transpose(-2, -1)
    attended = (covariance / norms * attn.temperature).softmax(-1) @ v
    out: Tensor = attn.proj(attended.permute(0, 3, 1, 2).flatten(2))
    return out


class _Block(nn.Module):
    """timm's block with a constant prompt or none: exact, but for the order of floating-point sums."""

    covariance: Tensor
    q_square: Tensor
    k_square: Tensor

    @torch.no_grad()
    def __init__(self, block: Any, prompt: Tensor | None) -> None:
        super().__init__()
        self.inner, self.prompted = block, prompt is not None
        if prompt is None:
            return
        exact = _covariances(block, copy.deepcopy(block.norm1).double()(prompt.double()), torch.float64)
        for name, value in zip(("covariance", "q_square", "k_square"), exact, strict=True):
            self.register_buffer(name, value.to(block.attn.qkv.weight.dtype).contiguous())

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Patches (B, n, D) of a grid -> (B, n, D)."""
        prompt = (self.covariance, self.q_square, self.k_square) if self.prompted else None
        return _rest(self.inner, x, _attended(self.inner, x, prompt), height, width)


class _TrainingBlock(nn.Module):
    """timm's block, whose attention prompts enter by their covariances alone: once for a batch."""

    def __init__(self, block: Any, grid: tuple[int, int]) -> None:
        super().__init__()
        self.inner, self.grid = block, grid

    def forward(self, x: Tensor, temperature: None, behind: Tensor | None, joining: None) -> Tensor:
        """Patches (B, n, D), with a block's own prompt tokens (N, D) `behind` them or none -> (B, n, D)."""
        prompt = None if behind is None else _covariances(self.inner, self.inner.norm1(behind), behind.dtype)
        return _rest(self.inner, x, _attended(self.inner, x, prompt), *self.grid)


def _squares(x: Tensor) -> Tensor:
    """|x|^2 of every channel, (..., d, 1) of (..., d, n)."""
    return x.square().sum(-1, keepdim=True)
