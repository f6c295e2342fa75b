"""Transformer blocks in which static prompt tokens are constants: their keys, values and, where needed, queries.

A block maps x to x' = x + ls1(attn(norm1(x))), then x' + ls2(mlp(norm2(x'))). Attention mixes tokens only through keys
and values; all else acts token by token. So a prompt P whose output is thrown away is only K = W_k norm1(P) and
V = W_v norm1(P): constants. They are computed in float64, once, and rounded to the weights' type.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models.cait import TalkingHeadAttn
from timm.models.eva import EvaBlockPostNorm
from timm.models.vision_transformer import Block, ResPostBlock
from timm.models.vision_transformer_relpos import ResPostRelPosBlock
from torch import Tensor, nn

from neuroprompt.backbones._attention import Places, SplitAttention, TalkingHeads


class Parts(nn.Module):
    """What a block is made of: x' = x + ls1(attn(norm1(x))), then x' + ls2(mlp(norm2(x'))).

    Where timm normalises a branch's result instead (post-norm), that norm is ls1 or ls2, and norm1 or norm2 is nothing.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        norms, scales = (block.norm1, block.norm2), (_scale(block, 1), _scale(block, 2))
        if isinstance(block, ResPostBlock | EvaBlockPostNorm | ResPostRelPosBlock):
            norms, scales = (nn.Identity(), nn.Identity()), norms
        self.norm1, self.norm2 = norms
        self.ls1, self.ls2 = scales
        self.mlp: nn.Module = block.mlp


class _Scale(nn.Module):
    """gamma * x, per channel."""

    def __init__(self, gamma: nn.Parameter) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


def _scale(block: Any, branch: int) -> nn.Module:
    """What stands behind a branch: timm's LayerScale, a parameter, or nothing."""
    gamma: nn.Parameter | None = getattr(block, f"gamma_{branch}", None)
    scale: nn.Module | None = getattr(block, f"ls{branch}", None)
    return scale or nn.Identity() if gamma is None else _Scale(gamma)


class _Baked(nn.Module):
    """A block with split attention, of which `kept` leading tokens go on: all where it is None, all but -kept below 0.

    The others are keys and values alone: their queries, attention and MLP would make what nobody reads. timm hands its
    own blocks masks and places besides; here they are constants, and what is handed in is not read.
    """

    def __init__(self, block: Any, places: Places | None = None, kept: int | None = None) -> None:
        super().__init__()
        self.kept = kept
        self.heads = split(block.attn, places)
        self.parts = Parts(block)

    def going_on(self, x: Tensor) -> Tensor:
        """The tokens (B, n, D) whose outputs go on."""
        return x if self.kept is None else x[:, : self.kept]

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of the block: both residual branches."""
        x = x + self.parts.ls1(attended)
        out: Tensor = x + self.parts.ls2(self.parts.mlp(self.parts.norm2(x)))
        return out


class LeanBlock(_Baked):
    """A block without a prompt of its own, in the same form as the others of this file."""

    def forward(self, x: Tensor, temperature: Tensor | None = None, **unread: Any) -> Tensor:
        """Tokens (B, n, D) -> those that go on; scores of attention are divided by `temperature`, a scalar."""
        y, heads = self.parts.norm1(x), self.heads
        asked = self.going_on(y)
        attended = heads(asked, heads.queries(asked), heads.keys(y), heads.values(y), temperature)
        return self.finish(self.going_on(x), attended)


class ConstantPrompt(_Baked):
    """A block whose prompt tokens are constant keys and values, and leave no output (deep prompts, every block).

    The last 2 `keyed` rows of the prompt are keys and values themselves.
    """

    prompt_k: Tensor
    prompt_v: Tensor

    def __init__(
        self,
        block: Any,
        prompt: Tensor,
        places: Places | None = None,
        kept: int | None = None,
        keyed: int = 0,
    ) -> None:
        super().__init__(block, places, kept)
        _store(self, block, prompt, "kv", keyed)

    def forward(self, x: Tensor, **unread: Any) -> Tensor:
        """Image tokens (B, n, D) -> those that go on."""
        y, heads = self.parts.norm1(x), self.heads
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

    def __init__(self, block: Any, prompt: Tensor, places: Places | None = None) -> None:
        super().__init__(block, places)
        self.register_buffer("prompt", prompt[None])
        _store(self, block, prompt, "yqkv")

    def forward(self, x: Tensor, **unread: Any) -> Tensor:
        """Image tokens (B, n, D) -> image and prompt tokens (B, n + N, D)."""
        y, heads = self.parts.norm1(x), self.heads
        q = _append(heads.queries(y), self.prompt_q, -2)
        k, v = _append(heads.keys(y), self.prompt_k, -1), _append(heads.values(y), self.prompt_v, -2)
        attended = heads(_append(y, self.prompt_y, -2), q, k, v)
        return self.finish(_append(x, self.prompt, -2), attended)


def rows(prompt: Tensor, keyed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens (N, D), keys (M, D) and values (M, D) of a block's prompt (N + 2 M, D), M = `keyed`."""
    count = len(prompt) - 2 * keyed
    return prompt[:count], prompt[count : count + keyed], prompt[count + keyed :]


def split(attn: Any, places: Places | None = None) -> SplitAttention:
    """timm's attention in fewer operators."""
    return TalkingHeads(attn, places) if isinstance(attn, TalkingHeadAttn) else SplitAttention(attn, places)


def tempered(block: Any, x: Tensor, temperature: Tensor, places: Places | None = None) -> Tensor:
    """`block` of tokens (B, n, D), its scores of attention divided by `temperature`, a scalar.

    A LeanBlock; timm's plain Block with its own weights, which may learn; or a LeanBlock of another frozen block.
    Dropout is off, as it is in any backbone here.
    """
    if type(block) is not Block:
        lean = block if isinstance(block, LeanBlock) else LeanBlock(block, places)
        cooled: Tensor = lean(x, temperature)
        return cooled
    attn: Any = block.attn
    y = block.norm1(x)
    q, k, v = attn.qkv(y).unflatten(-1, (3, attn.num_heads, attn.head_dim)).permute(2, 0, 3, 1, 4)
    q, k = attn.q_norm(q) / temperature, attn.k_norm(k)
    mixed = attn.norm(nn.functional.scaled_dot_product_attention(q, k, v, scale=attn.scale).transpose(1, 2).flatten(2))
    if getattr(attn, "gate", None) is not None:
        mixed = mixed * attn.gate(y).sigmoid()
    x = x + block.ls1(attn.proj(mixed))
    out: Tensor = x + block.ls2(block.mlp(block.norm2(x)))
    return out


def with_blocks(model: Any, blocks: list[nn.Module]) -> Any:
    """The same timm model with other blocks; every other part is shared, and `model` stays as it is."""
    twin = copy.copy(model)
    twin._modules = dict(model._modules)
    twin.blocks = nn.Sequential(*blocks).eval()
    return twin


@torch.no_grad()
def with_overlay(model: Any, overlay: Tensor) -> Any | None:
    """The same timm model with W overlay, the patch embedding of (C, H, W) without its bias, in the position table.

    None where the embedding is more than one convolution, or no table of positions is added to it.
    """
    embed, positions = model.patch_embed, getattr(model, "pos_embed", None)
    whole = type(embed) is PatchEmbed and isinstance(embed.norm, nn.Identity)
    if not whole or not isinstance(positions, nn.Parameter):
        return None
    exact = nn.functional.conv2d(overlay.double()[None], embed.proj.weight.double(), stride=embed.proj.stride)
    table = positions.detach().double().clone()
    table[:, -exact.shape[2] * exact.shape[3] :] += exact.flatten(2).transpose(1, 2)
    twin = copy.copy(model)
    twin._parameters = dict(model._parameters)
    twin.pos_embed = nn.Parameter(table.to(positions.dtype), requires_grad=False)
    return twin


def _append(x: Tensor, constant: Tensor, dim: int) -> Tensor:
    """`constant` (1, ...) behind x (B, ...) along `dim`, for every image."""
    return torch.cat([x, constant.expand(x.shape[0], *constant.shape[1:])], dim=dim)


@torch.no_grad()
def _store(module: _Baked, block: Any, prompt: Tensor, names: str, keyed: int = 0) -> None:
    """Register y = norm1(P) and its queries, keys and values, from float64, as buffers `prompt_*` of `module`.

    `keyed` keys and as many values, the last rows of the prompt, stand behind those of its tokens.
    """
    exact = copy.deepcopy(block).double().eval()
    # Its keys' bias must be dropped or kept as the image's is: keys of a prompt are never rotated.
    heads = split(exact.attn)
    if module.heads.k.bias is not None:
        heads.k.bias = nn.Parameter(module.heads.k.bias.detach().double(), requires_grad=False)
        heads.left_out = (None, heads.left_out[1])
    tokens, keys, values = rows(prompt.double(), keyed)
    y = Parts(exact).norm1(tokens[None])
    constants = {"y": y, "q": heads.queries(y), "k": heads.keys(y), "v": heads.values(y)}
    if keyed:
        k, v = heads.given(keys, values)
        constants |= {"k": _append(constants["k"], k, -1), "v": _append(constants["v"], v, -2)}
    for name in names:
        module.register_buffer(f"prompt_{name}", constants[name].to(block.attn.proj.weight.dtype).contiguous())
