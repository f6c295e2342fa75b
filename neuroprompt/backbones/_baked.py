"""Transformer blocks in which static prompt tokens are constants: their keys, values and, where needed, queries.

A block maps x to x' = x + ls1(attn(norm1(x))), then x' + ls2(mlp(norm2(x'))). Attention mixes tokens only through keys
and values; all else acts token by token. So a prompt P whose output is thrown away is only K = W_k norm1(P) and
V = W_v norm1(P): constants. They are computed in float64, once, and rounded to the weights' type.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.layers.attention import Attention
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.errors import BadSetting, Unsupported


class SplitAttention(nn.Module):
    """timm's Attention in fewer operators: exact, but for the order of floating-point sums.

    The joint projection is split in three, so that a runtime need not cut, squeeze and transpose its result again;
    1/sqrt(d) stands in the queries' weights. A bias of the keys adds q.b to all scores of a query, which softmax does
    not see: it is dropped. Attention's weights sum to 1, so that a bias of the values moves into the last projection.
    """

    def __init__(self, attn: Attention) -> None:
        super().__init__()
        # A norm on the queries would undo a scale in their weights: then it is applied behind the norm.
        self.scale = 1.0 if isinstance(attn.q_norm, nn.Identity) else attn.scale
        self.q = _rows(attn, 0, attn.scale / self.scale)
        self.k, self.v = _rows(attn, 1), _rows(attn, 2)
        self.attn = nn.ModuleDict({name: part for name, part in attn.named_children() if name != "qkv"})
        if isinstance(attn.k_norm, nn.Identity):
            self.k.register_parameter("bias", None)
        if isinstance(attn.norm, nn.Identity) and "gate" not in self.attn and self.v.bias is not None:
            self.attn["proj"] = _with_bias(attn.proj, self.v.bias)
            self.v.register_parameter("bias", None)
        self.split = (attn.num_heads, attn.head_dim)

    def queries(self, y: Tensor) -> Tensor:
        """(B, heads, n, d), scaled by 1/sqrt(d), of normalised tokens (B, n, D)."""
        q: Tensor = self.attn["q_norm"](self.q(y).unflatten(-1, self.split)).transpose(1, 2)
        return q if self.scale == 1.0 else q * self.scale

    def keys(self, y: Tensor) -> Tensor:
        """(B, heads, d, n): already transposed for the product with queries."""
        k: Tensor = self.attn["k_norm"](self.k(y).unflatten(-1, self.split)).permute(0, 2, 3, 1)
        return k

    def values(self, y: Tensor) -> Tensor:
        """(B, heads, n, d)."""
        v: Tensor = self.v(y).unflatten(-1, self.split).transpose(1, 2)
        return v

    def forward(self, y: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(q k) v, then timm's norm, gate (of the queries' tokens y) and projection: (B, n, D)."""
        x = self.attn["norm"](((q @ k).softmax(-1) @ v).transpose(1, 2).flatten(2))
        if "gate" in self.attn:
            x = x * self.attn["gate"](y).sigmoid()
        out: Tensor = self.attn["proj"](x)
        return out


class _Baked(nn.Module):
    """A block with split attention, of which `kept` leading tokens go on: all where it is None, all but -kept below 0.

    The others are keys and values alone: their queries, attention and MLP would make what nobody reads.
    """

    def __init__(self, block: Any, kept: int | None = None) -> None:  # timm's Block, whose parts are plain modules
        super().__init__()
        self.kept = kept
        self.heads = SplitAttention(block.attn)
        self.norm1, self.ls1 = block.norm1, block.ls1
        self.norm2, self.mlp, self.ls2 = block.norm2, block.mlp, block.ls2

    def going_on(self, x: Tensor) -> Tensor:
        """The tokens (B, n, D) whose outputs go on."""
        return x if self.kept is None else x[:, : self.kept]

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of the block: both residual branches."""
        x = x + self.ls1(attended)
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


class LeanBlock(_Baked):
    """A block without a prompt of its own, in the same form as the others of this file."""

    def forward(self, x: Tensor, temperature: Tensor | None = None) -> Tensor:
        """Tokens (B, n, D) -> those that go on; scores of attention are divided by `temperature`, a scalar."""
        y, heads = self.norm1(x), self.heads
        asked = self.going_on(y)
        q = heads.queries(asked)
        q = q if temperature is None else q / temperature
        return self.finish(self.going_on(x), heads(asked, q, heads.keys(y), heads.values(y)))


class ConstantPrompt(_Baked):
    """A block whose prompt tokens are constant keys and values, and leave no output (deep prompts, every block)."""

    prompt_k: Tensor
    prompt_v: Tensor

    def __init__(self, block: Any, prompt: Tensor, kept: int | None = None) -> None:
        super().__init__(block, kept)
        _store(self, block, prompt, "kv")

    def forward(self, x: Tensor) -> Tensor:
        """Image tokens (B, n, D) -> those that go on."""
        y, heads = self.norm1(x), self.heads
        asked = self.going_on(y)
        k, v = _append(heads.keys(y), self.prompt_k, -1), _append(heads.values(y), self.prompt_v, -2)
        return self.finish(self.going_on(x), heads(asked, heads.queries(asked), k, v))


class EnteringPrompt(_Baked):
    """The first block of shallow prompts: queries, keys and values are constants, the outputs depend on the image."""

    prompt: Tensor
    prompt_y: Tensor
    prompt_q: Tensor
    prompt_k: Tensor
    prompt_v: Tensor

    def __init__(self, block: Any, prompt: Tensor) -> None:
        super().__init__(block)
        self.register_buffer("prompt", prompt[None])
        _store(self, block, prompt, "yqkv")

    def forward(self, x: Tensor) -> Tensor:
        """Image tokens (B, n, D) -> image and prompt tokens (B, n + N, D)."""
        y, heads = self.norm1(x), self.heads
        q = _append(heads.queries(y), self.prompt_q, -2)
        k, v = _append(heads.keys(y), self.prompt_k, -1), _append(heads.values(y), self.prompt_v, -2)
        attended = heads(_append(y, self.prompt_y, -2), q, k, v)
        return self.finish(_append(x, self.prompt, -2), attended)


def tempered(block: Any, x: Tensor, temperature: Tensor) -> Tensor:
    """`block` of tokens (B, n, D), its scores of attention divided by `temperature`, a scalar.

    A LeanBlock, or timm's Block with its own weights, which may learn; dropout is off, as it is in any backbone here.
    """
    if isinstance(block, LeanBlock):
        cooled: Tensor = block(x, temperature)
        return cooled
    attn, y = block.attn, block.norm1(x)
    q, k, v = attn.qkv(y).unflatten(-1, (3, attn.num_heads, attn.head_dim)).permute(2, 0, 3, 1, 4)
    q, k = attn.q_norm(q) / temperature, attn.k_norm(k)
    mixed = attn.norm(F.scaled_dot_product_attention(q, k, v, scale=attn.scale).transpose(1, 2).flatten(2))
    if getattr(attn, "gate", None) is not None:
        mixed = mixed * attn.gate(y).sigmoid()
    x = x + block.ls1(attn.proj(mixed))
    out: Tensor = x + block.ls2(block.mlp(block.norm2(x)))
    return out


def with_blocks(model: VisionTransformer, blocks: list[nn.Module]) -> VisionTransformer:
    """The same timm model with other blocks; every other part is shared, and `model` stays as it is."""
    twin = copy.copy(model)
    twin._modules = dict(model._modules)
    twin.blocks = nn.Sequential(*blocks).eval()
    return twin


@torch.no_grad()
def with_overlay(model: VisionTransformer, overlay: Tensor) -> VisionTransformer:
    """The same timm model with W overlay, the patch embedding of (C, H, W) without its bias, in the position table.

    Raises Unsupported where the embedding is more than one convolution, or there is no table of positions, BadSetting
    where the overlay is not as large as the images.
    """
    embed: Any = model.patch_embed
    if not isinstance(embed, PatchEmbed) or not isinstance(embed.norm, nn.Identity) or model.pos_embed is None:
        got = "a Vision Transformer whose patches are not one convolution and a table of positions"
        raise Unsupported(got, "one that can hold a pixel prompt", "choose another --backbone or --method")
    image = (embed.proj.in_channels, *embed.img_size)
    if tuple(overlay.shape) != image:
        raise BadSetting(f"an overlay of shape {tuple(overlay.shape)}", f"{image}")
    exact = nn.functional.conv2d(overlay.double()[None], embed.proj.weight.double(), stride=embed.proj.stride)
    table = model.pos_embed.detach().double().clone()
    table[:, -exact.shape[2] * exact.shape[3] :] += exact.flatten(2).transpose(1, 2)
    twin = copy.copy(model)
    twin._parameters = dict(model._parameters)
    twin.pos_embed = nn.Parameter(table.to(model.pos_embed.dtype), requires_grad=False)
    return twin


def _rows(attn: Attention, part: int, scale: float = 1.0) -> nn.Linear:
    """The projection of queries (0), keys (1) or values (2), from timm's joint one."""
    weight, bias = attn.qkv.weight.detach(), attn.qkv.bias
    out = nn.Linear(weight.shape[1], attn.attn_dim, bias=bias is not None, device="meta")
    rows = slice(part * attn.attn_dim, (part + 1) * attn.attn_dim)
    out.weight = nn.Parameter(weight[rows] * scale, requires_grad=False)
    if bias is not None:
        out.bias = nn.Parameter(bias.detach()[rows] * scale, requires_grad=False)
    return out


def _with_bias(proj: nn.Linear, before: Tensor) -> nn.Linear:
    """proj(x + before) as one layer; it shares its weight with `proj`."""
    out = nn.Linear(proj.in_features, proj.out_features, device="meta")
    moved = proj.weight.detach().double() @ before.detach().double()
    if proj.bias is not None:
        moved = moved + proj.bias.detach().double()
    out.weight = proj.weight
    out.bias = nn.Parameter(moved.to(proj.weight.dtype), requires_grad=False)
    return out


def _append(x: Tensor, constant: Tensor, dim: int) -> Tensor:
    """`constant` (1, ...) behind x (B, ...) along `dim`, for every image."""
    return torch.cat([x, constant.expand(x.shape[0], *constant.shape[1:])], dim=dim)


@torch.no_grad()
def _store(module: nn.Module, block: Any, prompt: Tensor, names: str) -> None:
    """Register y = norm1(P) and its queries, keys and values, from float64, as buffers `prompt_*` of `module`."""
    exact = copy.deepcopy(block).double().eval()
    heads = SplitAttention(exact.attn)
    y = exact.norm1(prompt.double()[None])
    constants = {"y": y, "q": heads.queries(y), "k": heads.keys(y), "v": heads.values(y)}
    for name in names:
        module.register_buffer(f"prompt_{name}", constants[name].to(block.attn.qkv.weight.dtype).contiguous())
