"""Swin's windows with prompt tokens in every one of them: as they are trained, and as constants."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.models.swin_transformer import window_partition, window_reverse
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.backbones._attention import linear


def prompted(block: Any, x: Tensor, prompt: Tensor) -> Tensor:
    """timm's SwinTransformerBlock with prompt tokens (N, D) in every window: (B, H, W, D) -> (B, H, W, D).

    A prompt's outputs are thrown away, so it is asked nothing: it is only keys and values in every window. It has no
    place in a window: its relative-position bias is 0, and no shift hides it.
    """
    (_, height, width, _), (tall, wide), (down, right) = x.shape, block.window_size, block.shift_size
    y = block.norm1(x).roll((-down, -right), dims=(1, 2))
    y = F.pad(y, (0, 0, 0, -width % wide, 0, -height % tall))
    windows = window_partition(y, block.window_size).flatten(1, 2)
    attended = _attention(block, windows, block.norm1(prompt)).unflatten(1, block.window_size)
    y = window_reverse(attended, block.window_size, *y.shape[1:3])[:, :height, :width]
    x = x + block.drop_path1(y.roll((down, right), dims=(1, 2)))
    out: Tensor = x + block.drop_path2(block.mlp(block.norm2(x)))
    return out


def _attention(block: Any, y: Tensor, prompt: Tensor) -> Tensor:
    """Window attention of tokens (B nW, A, D), with normalised prompt tokens (N, D) as further keys and values."""
    attn, n = block.attn, len(prompt)

    def split(x: Tensor) -> list[Tensor]:  # q, k, v, each (..., heads, n, d)
        return [part.unflatten(-1, (attn.num_heads, -1)).transpose(-3, -2) for part in x.chunk(3, dim=-1)]

    (q, k, v), (_, prompt_k, prompt_v) = split(attn.qkv(y)), split(attn.qkv(prompt))
    k = torch.cat([k, prompt_k.expand(len(k), -1, -1, -1)], dim=-2)
    v = torch.cat([v, prompt_v.expand(len(v), -1, -1, -1)], dim=-2)
    added = bias_and_mask(block, n)
    scores = ((q * attn.scale) @ k.transpose(-2, -1)).unflatten(0, (-1, len(added))) + added
    x = (attn.attn_drop(attn.softmax(scores)).flatten(0, 1) @ v).transpose(1, 2).flatten(2)
    out: Tensor = attn.proj_drop(attn.proj(x))
    return out


def bias_and_mask(block: Any, prompts: int) -> Tensor:
    """What is added to the scores, (1 or nW, heads, A, A + N): relative positions and shift mask, 0 for prompts."""
    added: Tensor = block.attn._get_rel_pos_bias()
    mask = block.attn_mask
    if block.dynamic_mask:
        mask = block.get_attn_mask(device=added.device, dtype=added.dtype)
    if mask is not None:
        added = added + mask[:, None]
    return F.pad(added, (0, prompts))


def window_order(block: Any) -> tuple[Tensor, Tensor]:
    """Places (nW A,) of the tokens of a grid as they lie window by window, and (H W,) that bring them back.

    As timm does it: shifted in a circle, then filled up to whole windows. H W is the place of a token that fills up.
    """
    height, width = grid_of(block)
    (tall, wide), (down, right) = block.window_size, block.shift_size
    places = torch.arange(height * width, device=block.norm1.weight.device).view(1, height, width, 1)
    places = places.roll((-down, -right), dims=(1, 2))
    places = F.pad(places, (0, 0, 0, -width % wide, 0, -height % tall), value=height * width)
    order = window_partition(places, block.window_size).flatten()
    return order, order.argsort(stable=True)[: height * width]


def grid_of(block: Any) -> tuple[int, int]:
    """Height and width of the grid of tokens that a timm block takes."""
    height, width = block.feat_size if hasattr(block, "feat_size") else block.input_resolution
    return int(height), int(width)


class WindowBlock(nn.Module):
    """What a block in fewer operators than timm's shares with the other version's, with a constant prompt or none.

    One Gather brings tokens into shifted windows and one brings them back; relative positions and shift mask are one
    constant, `added` (1 or nW, heads, A, A + N). A prompt's keys (heads, d, N) and values (heads, N, d) are constants.
    A version sets `proj`, attention's last layer.
    """

    added: Tensor
    order: Tensor
    back: Tensor
    prompt_k: Tensor
    prompt_v: Tensor
    proj: nn.Module

    def __init__(self, block: Any, added: Tensor, count: int) -> None:
        super().__init__()
        self.count, self.area = count, block.window_area
        self.norm1, self.norm2, self.mlp = block.norm1, block.norm2, block.mlp
        for name, value in zip(("order", "back"), window_order(block), strict=True):
            self.register_buffer(name, value)
        self.register_buffer("added", added)

    def keep(self, prompt_k: Tensor, prompt_v: Tensor) -> None:
        """Store a prompt's keys and values (N, heads, d), rounded to the weights' type."""
        like = self.norm1.weight
        self.register_buffer("prompt_k", prompt_k.permute(1, 2, 0).to(like).contiguous())
        self.register_buffer("prompt_v", prompt_v.transpose(0, 1).to(like).contiguous())

    def windows(self, y: Tensor) -> Tensor:
        """Tokens (B, H W, D) window by window, (B, nW, A, D)."""
        if len(self.order) > y.shape[1]:  # windows are filled up with zeros
            y = F.pad(y, (0, 0, 0, 1))
        out: Tensor = y.index_select(1, self.order).unflatten(1, (-1, self.area))
        return out

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention's result (B, H W, D) of q (B, nW, heads, A, d), k (B, nW, heads, d, A), and v like q."""
        if self.count:
            k = torch.cat([k, self.prompt_k.expand(*k.shape[:2], -1, -1, -1)], dim=-1)
            v = torch.cat([v, self.prompt_v.expand(*v.shape[:2], -1, -1, -1)], dim=-2)
        attended = ((q @ k + self.added).softmax(-1) @ v).transpose(2, 3).flatten(3)
        out: Tensor = self.proj(attended).flatten(1, 2).index_select(1, self.back)
        return out


class Block(WindowBlock):
    """The first version's block: exact but for floating-point sums.

    1/sqrt(d) stands in the queries' weights. A bias of the keys adds q.b to all scores of a query, which softmax does
    not see: it is dropped. Attention's weights sum to 1, so that a bias of the values moves into the last projection.
    A prompt (N, D) is K = W_k norm1(P) and V = W_v norm1(P), computed in float64 and rounded once.
    """

    @torch.no_grad()
    def __init__(self, block: Any, prompt: Tensor | None = None) -> None:
        count = 0 if prompt is None else len(prompt)
        super().__init__(block, bias_and_mask(block, count), count)
        attn = block.attn
        self.split = (attn.num_heads, attn.qkv.out_features // (3 * attn.num_heads))
        q, k, v = attn.qkv.weight.detach().chunk(3)
        bias = torch.zeros(3 * len(q)).to(q) if attn.qkv.bias is None else attn.qkv.bias.detach()
        q_bias, _, v_bias = bias.chunk(3)
        self.q, self.k, self.v = linear(q * attn.scale, q_bias * attn.scale), linear(k), linear(v)
        proj, moved = attn.proj, attn.proj.weight.double() @ v_bias.double()
        self.proj = linear(proj.weight, (moved if proj.bias is None else moved + proj.bias).to(q))
        if prompt is not None:
            y = copy.deepcopy(block.norm1).double()(prompt.double())
            self.keep(*((y @ w.double().T).unflatten(-1, self.split) for w in (k, v)))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, H W, D) -> (B, H W, D)."""
        y = self.windows(self.norm1(x))
        q = self.q(y).unflatten(-1, self.split).transpose(2, 3)
        k = self.k(y).unflatten(-1, self.split).permute(0, 1, 3, 4, 2)
        v = self.v(y).unflatten(-1, self.split).transpose(2, 3)
        x = x + self.attend(q, k, v)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Stage(nn.Module):
    """timm's stage with other blocks, which take tokens in a row."""

    def __init__(self, stage: Any, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.downsample, self.blocks = stage.downsample, nn.Sequential(*blocks)
        self.grid = grid_of(stage.blocks[0])

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, D) -> (B, H', W', D')."""
        out: Tensor = self.blocks(self.downsample(x).flatten(1, 2)).unflatten(1, self.grid)
        return out


class Painted(nn.Module):
    """timm's PatchEmbed for images that an overlay (C, H, W) is added to: a constant map behind the convolution."""

    map: Tensor

    @torch.no_grad()
    def __init__(self, embed: Any, overlay: Tensor | None) -> None:
        super().__init__()
        self.proj, self.norm = embed.proj, embed.norm
        self.painted = overlay is not None
        if overlay is not None:
            exact = F.conv2d(overlay.double()[None], embed.proj.weight.double(), stride=embed.proj.stride)
            self.register_buffer("map", exact.permute(0, 2, 3, 1).to(embed.proj.weight.dtype).contiguous())

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, H', W', D)."""
        x = self.proj(images).permute(0, 2, 3, 1)
        out: Tensor = self.norm(x + self.map if self.painted else x)
        return out


def with_parts(model: Any, **parts: nn.Module) -> nn.Module:
    """The same timm model with other parts, by name; every other part is shared, and `model` stays as it is."""
    twin: nn.Module = copy.copy(model)
    twin._modules = {**model._modules, **{name: part.eval() for name, part in parts.items()}}
    return twin
