"""Hiera's blocks with prompt tokens in every mask unit: as they are trained, and as constants."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.backbones._attention import linear, projections


def _units(attn: Any, count: int) -> int:
    """How many mask units `count` tokens are; attention over all of them sees a single one."""
    return count // (attn.q_stride * attn.window_size) if attn.use_mask_unit_attn else 1


def _pooled(block: Any, x: Tensor, y: Tensor) -> Tensor:
    """What attention adds to: tokens x (B, n, D), or where the width grows, projected (of norms y) and pooled ones."""
    if not block.do_expand:
        return x
    parts = (x if block.proj is None else block.proj(y)).unflatten(1, (block.attn.q_stride, -1))
    return parts.amax(1) if block.proj is not None else torch.cat([parts.amax(1), parts.mean(1)], dim=-1)


def prompted(block: Any, x: Tensor, prompt: Tensor) -> Tensor:
    """timm's HieraBlock with prompt tokens (N, D) in every mask unit: (B, n, D) -> (B, n / stride, D').

    Token i of the unrolled order is in unit i mod U, of U: so a unit is a column of (n / U, U) tokens.
    """
    attn, y = block.attn, block.norm1(x)
    units = _units(attn, x.shape[1])

    def split(x: Tensor) -> list[Tensor]:  # q, k, v, each (..., heads, d)
        return list(attn.qkv(x).unflatten(-1, (3, attn.heads, -1)).unbind(-3))

    (q, k, v), (_, prompt_k, prompt_v) = split(y), split(block.norm1(prompt))
    if attn.q_stride > 1:
        q = q.unflatten(1, (attn.q_stride, -1)).amax(1)
    q, k, v = (part.unflatten(1, (-1, units)).permute(0, 2, 3, 1, 4) for part in (q, k, v))
    k, v = (
        torch.cat([part, more.transpose(0, 1).expand(*part.shape[:2], -1, -1, -1)], dim=-2)
        for part, more in ((k, prompt_k), (v, prompt_v))
    )
    mixed = F.scaled_dot_product_attention(q, k, v).permute(0, 3, 1, 2, 4).flatten(3).flatten(1, 2)
    x = _pooled(block, x, y) + block.ls1(attn.proj(mixed))
    out: Tensor = x + block.ls2(block.mlp(block.norm2(x)))
    return out


class Order(nn.Module):
    """timm's Unroll as one Gather."""

    order: Tensor

    def __init__(self, unroll: Any) -> None:
        super().__init__()
        count = math.prod(unroll.size)
        self.register_buffer("order", unroll(torch.arange(count).view(1, count, 1)).flatten())

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.order)


class Block(nn.Module):
    """timm's block in fewer operators, with a constant prompt (N, D) or none: exact but for floating-point sums.

    1/sqrt(d) stands in the queries' weights: it is positive, so that the largest of pooled queries stays the largest. A
    bias of the keys adds q.b to all scores of a query, which softmax does not see: it is dropped. Attention's weights
    sum to 1, so that a bias of the values moves into the last projection. A prompt's keys (heads, d, N) and values
    (heads, N, d) are computed in float64 and rounded once.
    """

    prompt_k: Tensor
    prompt_v: Tensor

    def __init__(self, block: Any, prompt: Tensor | None) -> None:
        super().__init__()
        attn = block.attn
        self.inner, self.split, self.prompted = block, (attn.heads, -1), prompt is not None
        (q, q_bias), (k, _), (v, v_bias) = projections(attn)
        assert q_bias is not None
        assert v_bias is not None
        self.q, self.k, self.v = linear(q * attn.scale, q_bias * attn.scale), linear(k), linear(v)
        moved = attn.proj.weight.double() @ v_bias.double() + attn.proj.bias.double()
        self.proj = linear(attn.proj.weight, moved.to(v))
        if prompt is not None:
            y = copy.deepcopy(block.norm1).double()(prompt.double())
            keys, values = ((y @ weight.double().T).unflatten(-1, self.split).to(v) for weight in (k, v))
            self.register_buffer("prompt_k", keys.permute(1, 2, 0).contiguous())
            self.register_buffer("prompt_v", values.transpose(0, 1).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, n, D) -> (B, n / stride, D')."""
        block = self.inner
        y, stride, units = block.norm1(x), block.attn.q_stride, _units(block.attn, x.shape[1])
        q = self.q(y)
        if stride > 1:
            q = q.unflatten(1, (stride, -1)).amax(1)
        q = q.unflatten(-1, self.split).unflatten(1, (-1, units)).permute(0, 2, 3, 1, 4)
        k = self.k(y).unflatten(-1, self.split).unflatten(1, (-1, units)).permute(0, 2, 3, 4, 1)
        v = self.v(y).unflatten(-1, self.split).unflatten(1, (-1, units)).permute(0, 2, 3, 1, 4)
        if self.prompted:
            k = torch.cat([k, self.prompt_k.expand(*k.shape[:2], -1, -1, -1)], dim=-1)
            v = torch.cat([v, self.prompt_v.expand(*v.shape[:2], -1, -1, -1)], dim=-2)
        mixed = ((q @ k).softmax(-1) @ v).permute(0, 3, 1, 2, 4).flatten(3).flatten(1, 2)
        x = _pooled(block, x, y) + block.ls1(self.proj(mixed))
        out: Tensor = x + block.ls2(block.mlp(block.norm2(x)))
        return out
