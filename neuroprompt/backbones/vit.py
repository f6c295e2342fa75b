"""Vision Transformers of timm: pre-norm blocks with plain attention, with any class token, registers or pooling."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from neuroprompt.backbones._baked import (
    ConstantPrompt,
    EnteringPrompt,
    LeanBlock,
    tempered,
    with_blocks,
    with_overlay,
)
from neuroprompt.backbones._patches import image_and_patch
from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, PromptSite, Stream
from neuroprompt.errors import BadSetting


class ViT(Backbone):
    """A frozen timm VisionTransformer (no classifier) that prompt tokens may enter.

    deep, L = depth:   x_i = Block_i([x_{i-1}, P_i]) without its last N tokens
    shallow, L = 1:    x_0 = Block_0([x, P]);  x_i = Block_i(x_{i-1});  the last N tokens are dropped at the end

    Prompts enter after the position table and CLIP's norm_pre and carry no position, and they are never pooled. They
    stand last: attention does not see the order of tokens, so this equals VPT's [class, prompts, patches].

    VPT: Jia et al., ECCV 2022 (arXiv 2203.12119), equations 4 to 8.
    """

    def __init__(self, model: VisionTransformer, spec: BackboneSpec, preprocess: Preprocess) -> None:
        super().__init__(model, spec, preprocess, int(model.num_features))
        self.model = model
        image, patch = image_and_patch(model)
        self.site = PromptSite(depth=len(model.blocks), width=int(model.embed_dim), image=image, patch=patch)

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is a VisionTransformer with timm's own forward pass, plain blocks and plain attention."""
        return (
            isinstance(model, VisionTransformer)
            and type(model).forward_features is VisionTransformer.forward_features
            and all(type(block) is Block and type(block.attn) is Attention for block in model.blocks)
        )

    def forward(self, images: Tensor, tokens: Tensor | Stream | None = None) -> Tensor:
        """Features (B, F) of normalised images (B, C, H, W) with tokens (L, N, D); raises BadSetting on their shape."""
        model = self.model
        x: Tensor = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(images))))
        n = x.shape[1]
        if tokens is None:
            x = model.blocks(x)
        elif isinstance(tokens, Stream):
            x = self._stream(x, tokens)
        else:
            fresh = tokens if self._deep(tokens) else [tokens[0], *[None] * (self.site.depth - 1)]
            for block, prompt in zip(model.blocks, fresh, strict=True):
                if prompt is not None:
                    x = torch.cat([x[:, :n], prompt.expand(x.shape[0], -1, -1)], dim=1)
                x = block(x)
            x = x[:, :n]
        features: Tensor = model.forward_head(model.norm(x), pre_logits=True)
        return features

    def _stream(self, x: Tensor, stream: Stream) -> Tensor:
        """Image tokens behind the last block, with prompt tokens that `stream` makes anew between blocks."""
        n, skip = x.shape[1], self.model.num_prefix_tokens
        prompts, heat = stream.enter(x[:, skip:]), stream.temperatures
        for i, block in enumerate(self.model.blocks):
            x = torch.cat([x, prompts], dim=1)
            x = block(x) if heat is None else tempered(block, x, heat[i])
            x, prompts = x[:, :n], x[:, n:]
            if i + 1 < self.site.depth:
                prompts = stream.after(i, prompts, x[:, skip:])
        return x

    def baked(self, tokens: Tensor | None = None, overlay: Tensor | None = None) -> nn.Module:
        """The same network with tokens (L, N, D) as constants; it shares its weights with this one.

        deep: prompts are only keys and values. shallow: block 0's queries, keys and values of prompts are constants,
        and the last block keeps no prompt. Where the head reads the class token alone, the last block makes no patch's
        token: exact, and some 7 % less work in 12 blocks. overlay (C, H, W): the patch embedding is linear, so that it
        goes into the position table. Neither: the bare network in the same form, which takes a Stream too. Raises
        BadSetting on their shape.
        """
        model = self.model if overlay is None else with_overlay(self.model, overlay)
        blocks: list[Any] = list(model.blocks)
        # Class, distillation and register tokens stand first; distilled models read two of them.
        read = max(1, model.num_prefix_tokens) if model.global_pool == "token" else None
        kept = [*[None] * (len(blocks) - 1), read]
        if tokens is None:
            lean = with_blocks(model, [LeanBlock(block, count) for block, count in zip(blocks, kept, strict=True)])
            return ViT(lean, self.spec, self.preprocess).eval()
        if self._deep(tokens):
            parts = zip(blocks, tokens.detach(), kept, strict=True)
            return with_blocks(model, [ConstantPrompt(block, prompt, count) for block, prompt, count in parts])
        first = EnteringPrompt(blocks[0], tokens[0].detach())
        between = [LeanBlock(block) for block in blocks[1:-1]]
        return with_blocks(model, [first, *between, LeanBlock(blocks[-1], read or -tokens.shape[1])])

    def _deep(self, tokens: Tensor) -> bool:
        depth, width = self.site.depth, self.site.width
        if tokens.ndim != 3 or len(tokens) not in (1, depth) or tokens.shape[2] != width:
            raise BadSetting(
                f"prompt tokens of shape {tuple(tokens.shape)}", f"(1 or {depth} blocks, tokens, {width} channels)"
            )
        return len(tokens) == depth
