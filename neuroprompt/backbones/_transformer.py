"""What timm's transformers of equal blocks share: prompt tokens behind a network's own, baked as constants."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from neuroprompt.backbones._attention import Places, projections
from neuroprompt.backbones._baked import (
    ConstantPrompt,
    EnteringPrompt,
    LeanBlock,
    tempered,
    with_blocks,
    with_overlay,
)
from neuroprompt.backbones._patches import image_and_patch
from neuroprompt.backbones._pixels import Overlaid, need_shape
from neuroprompt.backbones._training import TrainingBlock, TrainingForm
from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, PromptSite, Stream
from neuroprompt.errors import BadSetting

CLASS_BLOCKS = ("blocks_token_only", "cls_attn_blocks")
"""What timm calls the blocks in which a class token attends to the patches (CaiT, XCiT)."""


class Transformer(Backbone):
    """A frozen timm transformer (no classifier) that prompt tokens may enter.

    deep, L = depth:   x_i = Block_i([x_{i-1}, P_i]) without its last N tokens
    shallow, L = 1:    x_0 = Block_0([x, P]);  x_i = Block_i(x_{i-1});  the last N tokens are dropped at the end

    Prompts have no place: they enter behind the table of positions, are not rotated, and the bias of their scores is
    0. They are never pooled. They stand last: attention does not see the order of tokens, so this equals VPT's
    [class, prompts, patches].

    VPT: Jia et al., ECCV 2022 (arXiv 2203.12119), equations 4 to 8.

    `prefixed`: class token and registers pass through the blocks, in front of the patches. `handed_on`: what a block
    makes of a prompt may enter the next one. `takes_keys`: deep prompts may hold keys and values themselves, as many
    of each as `keyed` says, in the last rows of a block's tokens:  softmax(q [K, K_P, K']^T / sqrt d) [V, V_P, V'].
    """

    prefixed: ClassVar[bool] = True
    handed_on: ClassVar[bool] = True
    takes_keys: ClassVar[bool] = True

    def __init__(self, model: Any, spec: BackboneSpec, preprocess: Preprocess) -> None:
        super().__init__(model, spec, preprocess, int(model.num_features))
        self.model = model
        image, patch = image_and_patch(model, own_size=spec.image_size is None)
        depth, width = len(model.blocks), int(model.embed_dim)
        self.site = PromptSite(
            depth,
            width,
            image,
            patch,
            handed_on=self.handed_on,
            keyed=self.takes_keys and all(_keys_of(block.attn) == width for block in model.blocks),
            weights=self.shapes(),
            layers=self.linear_layers(),
        )

    @abstractmethod
    def embed(self, images: Tensor) -> tuple[Tensor, Any]:
        """Tokens (B, n, D) for the first block, prefix first, and what timm hands its blocks besides."""

    def block(self, i: int, x: Tensor, beside: Any, prompts: int) -> Tensor:
        """timm's own block i of tokens (B, n, D), of which the last `prompts` are prompts."""
        out: Tensor = self.model.blocks[i](x)
        return out

    def places(self, i: int, beside: Any) -> Places:
        """What block i knows of the places of tokens."""
        return Places()

    @property
    def read(self) -> int | None:
        """How many leading tokens the head reads: class, distillation and registers; None where it may read all."""
        pool = getattr(self.model, "global_pool", None)
        return max(1, int(self.model.num_prefix_tokens)) if self.prefixed and pool == "token" else None

    @property
    def skipped(self) -> int:
        """How many tokens stand in front of the patches in the blocks."""
        return int(self.model.num_prefix_tokens) if self.prefixed else 0

    def block_inputs(self, images: Tensor) -> list[Tensor]:
        """Patch tokens (B, P, D) that enter each block."""
        (x, beside), inputs = self.embed(images), []
        for i in range(self.site.depth):
            inputs.append(x[:, self.skipped :])
            x = self._run(i, x, beside, 0)
        return inputs

    def finish(self, x: Tensor) -> Tensor:
        """Features (B, F) of the tokens behind the last block, without prompts; of the class token, where it comes now.

        A network without a prefix may have a class token that attends to the patches in blocks of its own.
        """
        model = self.model
        if any(getattr(model, blocks, None) is not None for blocks in CLASS_BLOCKS):
            x = model.forward_cls(x)
        features: Tensor = model.forward_head(model.norm(x), pre_logits=True)
        return features

    def forward(self, images: Tensor, tokens: Tensor | Stream | None = None, keyed: int = 0) -> Tensor:
        """Features (B, F) of normalised images (B, C, H, W) with tokens (L, N, D); raises BadSetting on their shape."""
        if keyed:  # timm's own attention takes none
            features: Tensor = self.for_training()(images, tokens, keyed)
            return features
        x, beside = self.embed(images)
        if isinstance(tokens, Stream):
            return self.finish(self._stream(x, beside, tokens))
        n, count = x.shape[1], 0
        fresh: list[Tensor | None] = [None] * self.site.depth
        if tokens is not None:
            fresh = list(tokens) if self.is_deep(tokens) else [tokens[0], *fresh[1:]]
        for i, prompt in enumerate(fresh):
            if prompt is not None:
                x, count = torch.cat([x[:, :n], prompt.expand(x.shape[0], -1, -1)], dim=1), len(prompt)
            x = self._run(i, x, beside, count)
        return self.finish(x[:, :n] if count else x)

    def _run(self, i: int, x: Tensor, beside: Any, prompts: int) -> Tensor:
        lean = self.model.blocks[i]
        if isinstance(lean, LeanBlock):
            out: Tensor = lean(x)
            return out
        return self.piece(self.block, i, x, beside, prompts)

    def _stream(self, x: Tensor, beside: Any, stream: Stream) -> Tensor:
        """Image tokens behind the last block, with prompt tokens that `stream` makes anew between blocks."""
        n, skip = x.shape[1], self.skipped
        prompts, heat = stream.enter(x[:, skip:]), stream.temperatures
        for i, block in enumerate(self.model.blocks):
            x = torch.cat([x, prompts], dim=1)
            if heat is None:
                x = self._run(i, x, beside, prompts.shape[1])
            else:
                at = None if isinstance(block, LeanBlock) else self.places(i, beside)
                x = tempered(block, x, heat[i], at)
            x, prompts = x[:, :n], x[:, n:]
            if i + 1 < self.site.depth:
                prompts = stream.after(i, prompts, x[:, skip:])
        return x

    @torch.no_grad()
    def for_training(self) -> nn.Module:
        """The same forward pass of frozen blocks, in which prompts that leave no output are only keys and values."""
        return TrainingForm(self, self._training_blocks()).eval()

    @torch.no_grad()
    def baked(self, tokens: Tensor | None = None, overlay: Tensor | None = None, keyed: int = 0) -> nn.Module:
        """The same network with tokens (L, N, D) as constants; it shares its weights with this one.

        deep: prompts are only keys and values. shallow: block 0's queries, keys and values of prompts are constants,
        and the last block keeps no prompt. Where the head reads the class token alone, the last block makes no patch's
        token: exact, and some 7 % less work in 12 blocks. overlay (C, H, W): the patch embedding is linear, so that it
        goes into the position table, or is added to the image where there is none. Neither: the bare network in the
        same form, which takes a Stream too. Raises BadSetting on their shape.
        """
        need_shape(overlay, self.site.image)
        model = self.model if overlay is None else with_overlay(self.model, overlay)
        net = self._with(with_blocks(self.model if model is None else model, self._blocks(tokens, keyed)), tokens)
        return Overlaid(net, overlay).eval() if model is None and overlay is not None else net

    def _with(self, model: Any, tokens: Tensor | None) -> nn.Module:
        """timm's model of baked blocks; without tokens the family around it, which takes a Stream."""
        if tokens is not None:
            twin: nn.Module = model
            return twin
        family = copy.copy(self)
        family._modules = {**self._modules, "model": model}
        return family.eval()

    def _training_blocks(self) -> list[nn.Module]:
        return [TrainingBlock(*each) for each in zip(*self._each(), strict=True)]

    def _each(self) -> tuple[list[Any], list[Places], list[int | None]]:
        """Every block, what it knows of places, and how many of its tokens go on (None: all)."""
        blocks: list[Any] = list(self.model.blocks)
        beside = self.beside()
        kept = [*[None] * (len(blocks) - 1), self.read]
        return blocks, [self.places(i, beside) for i in range(len(blocks))], kept

    def beside(self) -> Any:
        """What `embed` gives beside the tokens; it is the same for all images."""
        weight = next(self.model.parameters())
        return self.embed(torch.zeros(1, *self.site.image, dtype=weight.dtype, device=weight.device))[1]

    def _blocks(self, tokens: Tensor | None, keyed: int = 0) -> list[nn.Module]:
        blocks, places, kept = self._each()
        if tokens is None:
            return [LeanBlock(*each) for each in zip(blocks, places, kept, strict=True)]
        if self.is_deep(tokens):
            each_of = zip(blocks, tokens.detach(), places, kept, strict=True)
            return [ConstantPrompt(*each, keyed) for each in each_of]
        first = EnteringPrompt(blocks[0], tokens[0].detach(), places[0])
        between = [LeanBlock(block, at) for block, at in zip(blocks[1:-1], places[1:-1], strict=True)]
        return [first, *between, LeanBlock(blocks[-1], places[-1], self.read or -tokens.shape[1])]

    def is_deep(self, tokens: Tensor) -> bool:
        """Whether tokens (L, N, D) are every block's own; raises BadSetting on their shape."""
        depth, width = self.site.depth, self.site.width
        if tokens.ndim != 3 or len(tokens) not in (1, depth) or tokens.shape[2] != width:
            raise BadSetting(
                f"prompt tokens of shape {tuple(tokens.shape)}", f"(1 or {depth} blocks, tokens, {width} channels)"
            )
        return len(tokens) == depth


def _keys_of(attn: Any) -> int:
    """How many channels the keys of all heads have."""
    return len(projections(attn)[1][0])
