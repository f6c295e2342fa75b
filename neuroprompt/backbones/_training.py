"""Transformers as they are trained: exactly their forward pass, without the work that no gradient and no head needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
    block nothing of the image needs a gradient in front of the attention.

    `remakes`: keys and values, which prompts make long, are not kept for the gradient but made again: a sixth of the
    forward pass for a quarter of what is kept. Not in mixed precision, and not where the whole block is computed twice.
    """

    remakes = True

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
        prompt, direct = joining if behind is None else behind, list[Tensor]()
        if keyed and prompt is not None:
            prompt, *direct = rows(prompt, keyed)
        if prompt is not None and prompt.ndim == 2:
            prompt = prompt[None]
        attended = self._attended(x, prompt, direct, joining is not None, temperature)
        if joining is not None and prompt is not None:
            x = _behind(x, prompt)
        return self.finish(self.going_on(x), attended)

    def _attended(
        self, x: Tensor, prompt: Tensor | None, direct: Sequence[Tensor], goes_on: bool, heat: Tensor | None
    ) -> Tensor:
        """What attention adds to tokens x, and to prompts that go on: keys and values are of both, and `direct`."""
        heads, norm, entered = self.heads, self.parts.norm1, x.detach()
        y, p = norm(x), None if prompt is None else norm(prompt)
        asked = self.going_on(y)
        q = heads.queries(asked)
        if goes_on and p is not None:
            q, asked = _behind(q, heads.queries(p, placed=False)), _behind(asked, p)
        kept, directly = None if p is None else p.detach(), [each.detach() for each in direct]
        kv = self._keys_values(y, p, direct)
        # Of heads that talk, and where a learned heat changes a bias, torch keeps other tensors than these.
        fused = not isinstance(heads, TalkingHeads) and (heat is None or heads.bias is None)
        remakes = self.remakes and fused and not torch.is_autocast_enabled(x.device.type)
        with made_again(kv, lambda: self._keys_values(norm(entered), kept, directly)) if remakes else nullcontext():
            return _attend(heads, asked, (q, *kv), heat)

    def _keys_values(self, y: Tensor, p: Tensor | None, direct: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, n, d) of normalised tokens and prompts, with those that are given directly."""
        heads = self.heads
        k, v = heads.keys(y).mT, heads.values(y)
        if direct:
            keys, values = heads.given(*direct)
            k, v = _behind(k, keys.mT), _behind(v, values)
        return (k, v) if p is None else (_behind(k, heads.keys(p, placed=False).mT), _behind(v, heads.values(p)))


@contextmanager
def made_again(tensors: Sequence[Tensor], again: Callable[[], Sequence[Tensor]]) -> Iterator[None]:
    """What is computed in here keeps none of `tensors` for its gradient: `again` makes them all, when one is needed.

    A function that repeats the same operations on the same numbers gives the same bits.
    """
    waiting, remade = list(tensors), dict[int, Tensor]()

    def forget(tensor: Tensor) -> Tensor | int:
        return next((i for i, mine in enumerate(waiting) if mine.is_set_to(tensor)), tensor)

    def recall(kept: Tensor | int) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        if kept not in remade:
            with torch.no_grad():
                remade.update(enumerate(again()))
        return remade.pop(kept)

    with torch.autograd.graph.saved_tensors_hooks(forget, recall):
        yield
    waiting.clear()  # torch keeps `forget`, and so what it knows, until the backward pass


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
        for block in blocks:
            if isinstance(block, TrainingBlock):
                block.remakes = not family.checkpointing

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
