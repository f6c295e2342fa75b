"""Swin V2's windows with prompt tokens in every one of them: as they are trained, and as constants."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from timm.models.swin_transformer_v2 import window_partition, window_reverse
from timm.models.swin_transformer_v2_cr import WindowMultiHeadAttention
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.backbones._attention import linear, projections
from neuroprompt.backbones._swin import WindowBlock

LARGEST = math.log(1 / 0.01)
"""Of the learned logarithm of the scores' scale."""
NEUTRAL = 8.0
"""The bias of a prompt's scores, 16 sigmoid(0)."""


def prompted(block: Any, x: Tensor, prompt: Tensor) -> Tensor:
    """timm's block of either kind with prompt tokens (N, D) in every window: (B, H, W, D) -> (B, H, W, D).

    Windows as in Swin; the block normalises what its branches give, so that a prompt is not normalised before.
    """
    (_, height, width, _), (tall, wide), (down, right) = x.shape, block.window_size, block.shift_size
    y = F.pad(x.roll((-down, -right), dims=(1, 2)), (0, 0, 0, -width % wide, 0, -height % tall))
    windows = window_partition(y, block.window_size).flatten(1, 2)
    attended = _attention(block, windows, prompt).unflatten(1, block.window_size)
    y = window_reverse(attended, block.window_size, y.shape[1:3])[:, :height, :width]
    x = x + block.norm1(y.roll((down, right), dims=(1, 2)))
    out: Tensor = last_norm(block)(x + block.norm2(block.mlp(x)))
    return out


def last_norm(block: Any) -> nn.Module:
    """The norm of the whole block's result, which SwinV2-CR has in some blocks."""
    norm: nn.Module | None = getattr(block, "norm3", None)
    return nn.Identity() if norm is None else norm


def _attention(block: Any, y: Tensor, prompt: Tensor) -> Tensor:
    """Window attention of tokens (B nW, A, D), with prompt tokens (N, D) as further keys and values."""
    attn, n = block.attn, len(prompt)
    bias = attn.qkv.bias
    if getattr(attn, "q_bias", None) is not None:
        bias = torch.cat((attn.q_bias, attn.k_bias, attn.v_bias))

    def split(x: Tensor) -> list[Tensor]:  # q, k, v, each (..., heads, n, d)
        joint = F.linear(x, attn.qkv.weight, bias)
        return [part.unflatten(-1, (attn.num_heads, -1)).transpose(-3, -2) for part in joint.chunk(3, dim=-1)]

    (q, k, v), (_, prompt_k, prompt_v) = split(y), split(prompt)
    k = torch.cat([k, prompt_k.expand(len(k), -1, -1, -1)], dim=-2)
    v = torch.cat([v, prompt_v.expand(len(v), -1, -1, -1)], dim=-2)
    scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
    scores = scores * attn.logit_scale.view(-1, 1, 1).clamp(max=LARGEST).exp()
    added = bias_and_mask(block, n)
    scores = scores.unflatten(0, (-1, len(added))) + added
    out: Tensor = attn.proj((scores.softmax(-1).flatten(0, 1) @ v).transpose(1, 2).flatten(2))
    return out


def bias_and_mask(block: Any, prompts: int) -> Tensor:
    """What is added to the scores, (1 or nW, heads, A, A + N): continuous bias of relative positions, and shift mask.

    Prompts have no place in a window: no shift hides one, and the network of relative positions counts as 0 for it. In
    SwinV2-CR that network gives the bias itself, so that a prompt's is 0. In Microsoft's own it is 16 sigmoid(network),
    which is 16 sigmoid(0) = 8: with 0, in a range of 0 to 16, attention would hardly see prompts.
    """
    attn = block.attn
    if isinstance(attn, WindowMultiHeadAttention):
        added = F.pad(attn._relative_positional_encodings(), (0, prompts))
    else:
        table: Tensor = attn.cpb_mlp(attn.relative_coords_table).view(-1, attn.num_heads)
        added = table[attn.relative_position_index.view(-1)].view(block.window_area, block.window_area, -1)
        added = F.pad(16 * added.permute(2, 0, 1).sigmoid()[None], (0, prompts), value=NEUTRAL)
    mask = block.attn_mask
    if block.dynamic_mask:
        mask = block.get_attn_mask(device=added.device, dtype=added.dtype)
    if mask is not None:
        added = added + F.pad(mask[:, None], (0, prompts))
    return added


class Block(WindowBlock):
    """The second version's block: exact but for floating-point sums.

    x + norm1(attn(x)), with scores tau q k^T / (|q| |k|), tau = exp(min(s, ln 100)) in the queries' norm. A bias of
    the values moves into the last projection. A prompt (N, D) is K = W_k P / |W_k P| and V = W_v P, computed in
    float64 and rounded once.
    """

    scale: Tensor

    @torch.no_grad()
    def __init__(self, block: Any, prompt: Tensor | None = None) -> None:
        count = 0 if prompt is None else len(prompt)
        super().__init__(block, bias_and_mask(block, count), count)
        attn = block.attn
        self.split = (attn.num_heads, -1)
        q, k, v = projections(attn)
        # A bias of the keys is inside their norm, so that softmax sees it; where they are split, timm's is 0.
        self.q, self.k, self.v = (
            linear(*q),
            linear(k[0], attn.qkv.bias if attn.qkv.bias is None else k[1]),
            linear(v[0]),
        )
        moved = attn.proj.bias.double()
        if v[1] is not None:
            moved = moved + attn.proj.weight.double() @ v[1].double()
        self.proj = linear(attn.proj.weight, moved.to(v[0]))
        self.norm3 = last_norm(block)
        self.register_buffer("scale", attn.logit_scale.view(-1, 1, 1).clamp(max=LARGEST).exp())
        if prompt is not None:
            exact_k, exact_v = (
                copy.deepcopy(part).double()(prompt.double()).unflatten(-1, self.split) for part in (self.k, self.v)
            )
            self.keep(F.normalize(exact_k, dim=-1), exact_v)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, H W, D) -> (B, H W, D)."""
        y = self.windows(x)
        q = F.normalize(self.q(y).unflatten(-1, self.split), dim=-1).transpose(2, 3) * self.scale
        k = F.normalize(self.k(y).unflatten(-1, self.split), dim=-1).permute(0, 1, 3, 4, 2)
        v = self.v(y).unflatten(-1, self.split).transpose(2, 3)
        x = x + self.norm1(self.attend(q, k, v))
        out: Tensor = self.norm3(x + self.norm2(self.mlp(x)))
        return out
