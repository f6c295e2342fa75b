"""Attention of timm's transformers in fewer operators, whose keys and values may have constants behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.pos_embed_sincos import apply_rot_embed_cat
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Places:
    """What attention knows of the places of a network's own n tokens; a prompt has no place.

    rope    rotary embedding (P, 2 d) or (heads, P, 2 d) of the last P = n - `prefix` tokens, in timm's layout; `half`
            is how it pairs channels
    bias    what is added to the scores, (1, heads, n, n): relative positions
    """

    rope: Tensor | None = None
    half: bool = False
    prefix: int = 0
    bias: Tensor | None = None


class SplitAttention(nn.Module):
    """timm's attention in fewer operators: exact, but for the order of floating-point sums.

    The joint projection is split in three, so that a runtime need not cut, squeeze and transpose its result again;
    1/sqrt(d) stands in the queries' weights. A bias of the keys adds q.b to all scores of a query, which softmax does
    not see: it is dropped, unless keys are normalised or rotated behind it. Attention's weights sum to 1, so that a
    bias of the values moves into the last projection.

    Prompt tokens stand behind a network's own: they are not rotated, and the bias of their scores is 0.
    """

    rope: Tensor | None
    bias: Tensor | None

    def __init__(self, attn: Any, places: Places | None = None) -> None:
        super().__init__()
        places = places or Places()
        q, k, v = projections(attn)
        self.q_norm, self.k_norm, self.norm = (_part(attn, name) for name in ("q_norm", "k_norm", "norm"))
        self.gate: nn.Module | None = getattr(attn, "gate", None)
        # A norm on the queries would undo a scale in their weights: then it is applied behind the norm.
        self.scale = 1.0 if isinstance(self.q_norm, nn.Identity) else attn.scale
        factor = attn.scale / self.scale
        self.q = linear(q[0] * factor, None if q[1] is None else q[1] * factor)
        seen = places.rope is not None or not isinstance(self.k_norm, nn.Identity)
        self.k = linear(k[0], k[1] if seen else None)
        self.split = (-1, len(q[0]) // int(attn.num_heads))
        self.groups = len(q[0]) // len(k[0])
        moved = self.moves_values_bias()
        self.v = linear(v[0], None if moved else v[1])
        self.left_out = (None if seen else k[1], v[1] if moved else None)
        self.proj: nn.Module = _with_bias(attn.proj, v[1]) if moved and v[1] is not None else attn.proj
        self.prefix, self.rotate_half = places.prefix, places.half
        self.register_buffer("rope", places.rope)
        self.register_buffer("bias", places.bias)

    def moves_values_bias(self) -> bool:
        """Whether the values' bias may go into the last projection: nothing stands between but a weighted mean."""
        return isinstance(self.norm, nn.Identity) and self.gate is None and self.groups == 1

    def queries(self, y: Tensor, *, placed: bool = True) -> Tensor:
        """(B, heads, n, d), scaled by 1/sqrt(d), of normalised tokens (B, n, D), `placed` or prompts alone."""
        q: Tensor = self.q_norm(self.q(y).unflatten(-1, self.split)).transpose(1, 2)
        q = self._turned(q) if placed else q
        return q if self.scale == 1.0 else q * self.scale

    def keys(self, y: Tensor, *, placed: bool = True) -> Tensor:
        """(B, heads, d, n): already transposed for the product with queries; `placed` as those."""
        k: Tensor = self.k_norm(self.k(y).unflatten(-1, self.split))
        plain = self.rope is None or not placed
        k = k.permute(0, 2, 3, 1) if plain else self._turned(k.transpose(1, 2)).transpose(2, 3)
        return self._for_all(k)

    def values(self, y: Tensor) -> Tensor:
        """(B, heads, n, d)."""
        return self._for_all(self.v(y).unflatten(-1, self.split).transpose(1, 2))

    def given(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (1, heads, d, M) and values (1, heads, M, d) that are given, (M, D), beside those made of tokens.

        They stand behind any norm and rotation. The biases that `keys` and `values` leave out are taken off, so that
        every score of a query is less by the same q.b, and the last projection adds W b to these values as to all.
        """
        (k, v), heads = (keys, values), self.split
        k, v = (
            (x if b is None else x - b.to(x)).unflatten(-1, heads) for x, b in zip((k, v), self.left_out, strict=True)
        )
        return k.permute(1, 2, 0)[None], v.transpose(0, 1)[None]

    def forward(self, y: Tensor, q: Tensor, k: Tensor, v: Tensor, temperature: Tensor | None = None) -> Tensor:
        """softmax(q k + bias) v, then timm's norm, gate (of the queries' tokens y) and projection: (B, n, D).

        Scores are divided by `temperature`, a scalar.
        """
        scores = (q if temperature is None else q / temperature) @ k
        if self.bias is not None:
            scores = scores + self.fitted(self.bias, q.shape[-2], k.shape[-1], temperature)
        return self.leave(y, self.shares(scores) @ v)

    @staticmethod
    def fitted(bias: Tensor, asked: int, known: int, temperature: Tensor | None = None) -> Tensor:
        """The bias (1, heads, n, n) for `asked` queries and `known` keys, 0 for prompts."""
        bias = bias[:, :, :asked]
        bias = bias if temperature is None else bias / temperature
        return F.pad(bias, (0, known - bias.shape[-1], 0, max(0, asked - bias.shape[-2])))

    def leave(self, y: Tensor, mixed: Tensor) -> Tensor:
        """(B, n, D) of what heads give, (B, heads, n, d): timm's norm, gate (of the queries' tokens y), projection."""
        x = self.norm(mixed.transpose(1, 2).flatten(2))
        if self.gate is not None:
            x = x * self.gate(y).sigmoid()
        out: Tensor = self.proj(x)
        return out

    def shares(self, scores: Tensor) -> Tensor:
        """The weights of the values, (B, heads, n, m), of scores of that shape."""
        return scores.softmax(-1)

    def _turned(self, x: Tensor) -> Tensor:
        """x (B, heads, n, d), each image token rotated by its place."""
        if self.rope is None or x.shape[2] <= self.prefix:
            return x
        end = self.prefix + self.rope.shape[-2]
        turned = apply_rot_embed_cat(x[:, :, self.prefix : end], self.rope, half=self.rotate_half)
        return torch.cat([x[:, :, : self.prefix], turned, x[:, :, end:]], dim=2)

    def _for_all(self, x: Tensor) -> Tensor:
        """Keys or values of every head, where several heads share them."""
        return x if self.groups == 1 else x.repeat_interleave(self.groups, dim=1)


class TalkingHeads(SplitAttention):
    """CaiT's attention: heads are mixed before the softmax and behind it, so that weights do not sum to 1.

    Shazeer et al. 2020 (arXiv 2003.02436); Touvron et al., ICCV 2021 (arXiv 2103.17239).
    """

    def __init__(self, attn: Any, places: Places | None = None) -> None:
        super().__init__(attn, places)
        self.before, self.behind = attn.proj_l, attn.proj_w

    def moves_values_bias(self) -> bool:
        """No."""
        return False

    def shares(self, scores: Tensor) -> Tensor:
        """W_w softmax(W_l scores) over heads, (B, heads, n, m)."""
        shares = self.before(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).softmax(-1)
        mixed: Tensor = self.behind(shares.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return mixed


Affine = tuple[Tensor, Tensor | None]


def projections(attn: Any) -> tuple[Affine, Affine, Affine]:
    """Weight and bias of queries, keys and values, from timm's joint projection or its three."""
    if getattr(attn, "qkv", None) is None:
        q, k, v = ((p.weight.detach(), _detached(p.bias)) for p in (attn.q_proj, attn.k_proj, attn.v_proj))
        return q, k, v
    weights = attn.qkv.weight.detach().chunk(3)
    bias = attn.qkv.bias
    if getattr(attn, "q_bias", None) is not None:
        bias = torch.cat((attn.q_bias, attn.k_bias, attn.v_bias))
    biases = (None,) * 3 if bias is None else bias.detach().chunk(3)
    q, k, v = zip(weights, biases, strict=True)
    return q, k, v


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A frozen layer of that weight and bias; it shares them."""
    out = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    out.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        out.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return out


def _with_bias(proj: nn.Linear, before: Tensor) -> nn.Linear:
    """proj(x + before) as one layer; it shares its weight with `proj`."""
    moved = proj.weight.detach().double() @ before.detach().double()
    if proj.bias is not None:
        moved = moved + proj.bias.detach().double()
    return linear(proj.weight, moved.to(proj.weight.dtype))


def _part(module: Any, name: str) -> nn.Module:
    part: nn.Module | None = getattr(module, name, None)
    return nn.Identity() if part is None else part


def _detached(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.detach()
