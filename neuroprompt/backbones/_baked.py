"""Transformer blocks in which static prompt tokens are constants: their keys, values and, where needed, queries.

A block maps x to x' = x + ls1(attn(norm1(x))), then x' + ls2(mlp(norm2(x'))). Attention mixes tokens only through keys
and values; all else acts token by token. So a prompt P whose output is thrown away is only K = W_k norm1(P) and
V = W_v norm1(P): constants. They are computed in float64, once, and rounded to the weights' type.
"""

from __future__ import annotations

import copy

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F


class ConstantPrompt(nn.Module):
    """A block whose prompt tokens are constant keys and values, and leave no output (deep prompts, every block)."""

    k: Tensor
    v: Tensor

    def __init__(self, block: Block, prompt: Tensor) -> None:
        super().__init__()
        self.block = block
        _, _, k, v = _constants(block, prompt)
        self.register_buffer("k", k)
        self.register_buffer("v", v)

    def forward(self, x: Tensor) -> Tensor:
        """Image tokens (B, n, D) -> (B, n, D)."""
        block = self.block
        y = block.norm1(x)
        q, k, v = _project(block.attn, y)
        k, v = _append(k, self.k), _append(v, self.v)
        return _finish(block, x, _attend(block.attn, y, q, k, v))


class EnteringPrompt(nn.Module):
    """The first block of shallow prompts: queries, keys and values are constants, the outputs depend on the image."""

    prompt: Tensor
    y: Tensor
    q: Tensor
    k: Tensor
    v: Tensor

    def __init__(self, block: Block, prompt: Tensor) -> None:
        super().__init__()
        self.block = block
        self.register_buffer("prompt", prompt[None])
        for name, value in zip("yqkv", _constants(block, prompt), strict=True):
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        """Image tokens (B, n, D) -> image and prompt tokens (B, n + N, D)."""
        block = self.block
        y = block.norm1(x)
        q, k, v = _project(block.attn, y)
        q, k, v = _append(q, self.q), _append(k, self.k), _append(v, self.v)
        if block.attn.gate is not None:
            y = _append(y, self.y)
        return _finish(block, _append(x, self.prompt), _attend(block.attn, y, q, k, v))


class LeavingPrompt(nn.Module):
    """The last block of shallow prompts: `count` prompt tokens at the end are read, and nothing follows from them."""

    def __init__(self, block: Block, count: int) -> None:
        super().__init__()
        self.block = block
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Image and prompt tokens (B, n + N, D) -> image tokens (B, n, D)."""
        block, n = self.block, x.shape[1] - self.count
        y = block.norm1(x)
        q, k, v = _project(block.attn, y)
        return _finish(block, x[:, :n], _attend(block.attn, y[:, :n], q[:, :, :n], k, v))


def with_blocks(model: nn.Module, blocks: list[nn.Module]) -> nn.Module:
    """The same timm model with other blocks; every other part is shared, and `model` stays as it is."""
    twin = copy.copy(model)
    twin._modules = dict(model._modules)
    twin.blocks = nn.Sequential(*blocks)
    return twin


def _project(attn: Attention, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys, values (B, heads, n, d) of normalised tokens (B, n, D), as timm's Attention makes them."""
    qkv = attn.qkv(y).reshape(y.shape[0], y.shape[1], 3, attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    return attn.q_norm(q), attn.k_norm(k), v


def _attend(attn: Attention, y: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, then timm's norm, gate (of the queries' tokens y) and projection; (B, n, D)."""
    x = F.scaled_dot_product_attention(q, k, v)
    x = attn.norm(x.transpose(1, 2).reshape(q.shape[0], q.shape[2], attn.attn_dim))
    if attn.gate is not None:
        x = x * attn.gate(y).sigmoid()
    out: Tensor = attn.proj(x)
    return out


def _finish(block: Block, x: Tensor, attended: Tensor) -> Tensor:
    x = x + block.ls1(attended)
    out: Tensor = x + block.ls2(block.mlp(block.norm2(x)))
    return out


def _append(x: Tensor, constant: Tensor) -> Tensor:
    """`constant` (1, ..., N, d) after x (B, ..., n, d), for every image."""
    return torch.cat([x, constant.expand(x.shape[0], *constant.shape[1:])], dim=-2)


@torch.no_grad()
def _constants(block: Block, prompt: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """norm1(P) (1, N, D) and its queries, keys, values (1, heads, N, d), from float64."""
    exact = copy.deepcopy(block).double().eval()
    y = exact.norm1(prompt.detach().double()[None])
    dtype = block.attn.qkv.weight.dtype
    y, q, k, v = (part.to(dtype).contiguous() for part in (y, *_project(exact.attn, y)))
    return y, q, k, v
