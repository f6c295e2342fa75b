"""Transformers as they are trained: exactly their forward pass, without the work that no gradient and no head needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.backbones._attention import SplitAttention, TalkingHeads
from neuroprompt.backbones._baked import LeanBlock, rows
from neuroprompt.contracts.learning import Stream

if TYPE_CHECKING:
    from neuroprompt.backbones._transformer import Transformer


class TrainingBlock(LeanBlock):
    """A frozen block of tokens, with prompt tokens that gradients pass.

    Prompt tokens are the same for all images, (N, D), or each image's own, (B, N, D). Those that stand `behind` leave
    no output: they are keys and values alone, computed once for a batch. Those that are `joining` go on: in the first
    block nothing of the image needs a gradient in front of the attention, and nothing of it is kept.
    """

    def forward(
        self,
        x: Tensor,
        temperature: Tensor | None = None,
        behind: Tensor | None = None,
        joining: Tensor | None = None,
        keyed: int = 0,
        **unread: Any,
    ) -> Tensor:
        """Tokens (B, n, D) -> those that go on, and what becomes of those that are joining.

        The last 2 `keyed` rows of (N, D) that stand behind are keys and values themselves.
        """
        heads, norm = self.heads, self.parts.norm1
        y = norm(x)
        asked = self.going_on(y)
        q, k, v = heads.queries(asked), heads.keys(y).mT, heads.values(y)
        prompt = joining if behind is None else behind
        if keyed and prompt is not None:
            prompt, *direct = rows(prompt, keyed)
            keys, values = heads.given(*direct)
            k, v = _behind(k, keys.mT), _behind(v, values)
        if prompt is not None:
            prompt = prompt if prompt.ndim == 3 else prompt[None]
            p = norm(prompt)
            k = _behind(k, heads.keys(p, placed=False).mT)
            v = _behind(v, heads.values(p))
            if joining is not None:
                q, asked, x = _behind(q, heads.queries(p, placed=False)), _behind(asked, p), _behind(x, prompt)
        attended = _attend(heads, asked, (q, k, v), temperature)
        return self.finish(self.going_on(x), attended)


def _attend(heads: SplitAttention, asked: Tensor, qkv: tuple[Tensor, Tensor, Tensor], heat: Tensor | None) -> Tensor:
    """`heads` of q, k, v (B, heads, n, d) by torch's fused attention, which keeps no scores; heads that talk need them.

    Scores are divided by `heat`.
    """
    q, k, v = qkv
    if isinstance(heads, TalkingHeads):
        mixed: Tensor = heads(asked, q, k.mT, v, heat)
        return mixed
    q = q if heat is None else q / heat
    bias = None if heads.bias is None else heads.fitted(heads.bias, q.shape[-2], k.shape[-2], heat)
    return heads.leave(asked, F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0))


def _behind(x: Tensor, more: Tensor) -> Tensor:
    """`more` (1 or B, ..., N, D) behind x (B, ..., n, D)."""
    return torch.cat([x, more.expand(x.shape[0], *more.shape[1:])], dim=-2)


class TrainingForm(nn.Module):
    """A Transformer's forward pass, of images and Prompt.tokens or a Stream; it shares all weights but the queries'.

    deep: a block's prompts are keys and values alone, and so are those of the last block in the other forms. Where the
    head reads the class token alone, the last block makes no patch's token.
    """

    def __init__(self, family: Transformer, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.family, self.blocks = family, nn.ModuleList(blocks)

    def forward(self, images: Tensor, tokens: Tensor | Stream | None = None, keyed: int = 0) -> Tensor:
        """Features (B, F) of normalised images (B, C, H, W); raises BadSetting on the tokens' shape."""
        x, _ = self.family.embed(images)
        if isinstance(tokens, Stream):
            return self.family.finish(self._stream(x, tokens))
        if tokens is not None and not self.family.is_deep(tokens):
            return self.family.finish(self._shallow(x, tokens[0]))
        for block, prompt in zip(self.blocks, [None] * len(self.blocks) if tokens is None else tokens, strict=True):
            x = self._run(block, x, behind=prompt, keyed=keyed)
        return self.family.finish(x)

    def _shallow(self, x: Tensor, prompt: Tensor) -> Tensor:
        n, (first, *between, last) = x.shape[1], self.blocks
        x = self._run(first, x, joining=prompt)
        for block in between:
            x = self._run(block, x)
        return self._run(last, x[:, :n], behind=x[:, n:])

    def _stream(self, x: Tensor, stream: Stream) -> Tensor:
        n, skip, heat = x.shape[1], self.family.skipped, stream.temperatures
        prompts, final = stream.enter(x[:, skip:]), len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            at = None if heat is None else heat[i]
            if i == final:
                return self._run(block, x, at, behind=prompts)
            x = self._run(block, x, at, joining=prompts) if i == 0 else self._run(block, torch.cat([x, prompts], 1), at)
            x, prompts = x[:, :n], x[:, n:]
            prompts = stream.after(i, prompts, x[:, skip:])
        return x

    def _run(
        self,
        block: nn.Module,
        x: Tensor,
        heat: Tensor | None = None,
        *,
        behind: Tensor | None = None,
        joining: Tensor | None = None,
        keyed: int = 0,
    ) -> Tensor:
        direct = (keyed,) if keyed else ()
        out: Tensor = self.family.piece(block, x, heat, behind, joining, *direct)
        return out
