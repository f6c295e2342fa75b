"""Hiera of timm: attention in mask units and then over all tokens, with pooled queries where a stage begins."""

from __future__ import annotations

import math
from typing import Any

import torch
from timm.models.hiera import Hiera as TimmHiera
from timm.models.hiera import HieraBlock, MaskUnitAttention
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.backbones._baked import with_blocks
from neuroprompt.backbones._deep import each_blocks
from neuroprompt.backbones._hiera import Block, Order, prompted
from neuroprompt.backbones._pixels import need_shape
from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, PromptSite, Stream
from neuroprompt.errors import BadSetting


class Hiera(Backbone):
    """A frozen timm Hiera (no classifier) with prompt tokens in every mask unit of every block, as keys and values.

    softmax(pool(q) [K, K_i]^T / sqrt(d)) [V, V_i],  K_i = W_k norm1(P_i) + b_k,  V_i = W_v norm1(P_i) + b_v.

    Blocks with attention over all tokens see a prompt once. A prompt is not asked, so that no pooling of queries or
    tokens and no order of tokens touches it. Only deep prompts: what a block made of one would be pooled with it.
    Block i reads the first site.widths[i] channels of its tokens, those that enter it.

    Ryali et al., ICML 2023 (arXiv 2306.00989).
    """

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is a Hiera of timm's own blocks, for images."""
        return (
            type(model) is TimmHiera
            and len(model.patch_stride) == 2
            and all(type(block) is HieraBlock and type(block.attn) is MaskUnitAttention for block in model.blocks)
        )

    def __init__(self, model: Any, spec: BackboneSpec, preprocess: Preprocess) -> None:
        super().__init__(model, spec, preprocess, int(model.head_hidden_size))
        self.model = model
        for block in model.blocks:
            if block.attn.use_mask_unit_attn:  # with one dimension more than ONNX's exporter can write as one operator
                block.attn.fused_attn = False
        patch = int(model.patch_stride[0])
        height, width = (int(side) * patch for side in model.tokens_spatial_shape)
        for side, unit in zip((height, width), _unit(model), strict=True):
            if side % (unit * patch) or (height, width) != preprocess.size:
                got = "images of {} x {} pixels".format(*preprocess.size)
                raise BadSetting(got, f"a multiple of the side of a mask unit, {unit * patch}")
        widths = tuple(int(block.dim) for block in model.blocks)
        self.site = PromptSite(
            len(widths),
            max(widths),
            (int(model.in_chans), height, width),
            patch,
            widths,
            weights=self.shapes(),
            layers=self.linear_layers(),
        )

    def forward(self, images: Tensor, tokens: Tensor | Stream | None = None, keyed: int = 0) -> Tensor:
        """Features (B, F) of normalised images (B, C, H, W) with tokens (L, N, D); raises BadSetting, Unsupported."""
        model = self.model
        if tokens is None:
            x = model.forward_features(images)
        else:
            x = self._enter(images)
            for block, prompt in zip(model.blocks, each_blocks(self.site, tokens, "a Hiera"), strict=True):
                x = self.piece(prompted, block, x, prompt)
        features: Tensor = model.forward_head(x, pre_logits=True)
        return features

    def block_inputs(self, images: Tensor) -> list[Tensor]:
        """Patch tokens (B, n_i, D_i) that enter each block, mask unit by mask unit."""
        x, inputs = self._enter(images), []
        for block in self.model.blocks:
            inputs.append(x)
            x = block(x)
        return inputs

    @torch.no_grad()
    def baked(self, tokens: Tensor | None = None, overlay: Tensor | None = None, keyed: int = 0) -> nn.Module:
        """The same network with tokens (L, N, D) as constant keys and values in every mask unit; it shares its weights.

        overlay (C, H, W): the patch embedding is linear, so that it goes into the table of positions. Neither: the bare
        network in the same form. Raises BadSetting, Unsupported.
        """
        need_shape(overlay, self.site.image)
        blocks: list[Any] = list(self.model.blocks)
        prompts: list[Any] = [None] * len(blocks)
        if tokens is not None:
            prompts = each_blocks(self.site, tokens.detach(), "a Hiera")
        twin = with_blocks(self.model, [Block(*each) for each in zip(blocks, prompts, strict=True)])
        twin._parameters = {**twin._parameters, "pos_embed": self._table(overlay), "pos_embed_win": None}
        twin.unroll = Order(twin.unroll)
        network: nn.Module = twin.eval()
        return network

    def _enter(self, images: Tensor) -> Tensor:
        model = self.model
        x: Tensor = model.unroll(model._pos_embed(model.patch_embed(images)))
        return x

    def _table(self, overlay: Tensor | None) -> nn.Parameter:
        """Table of positions (1, n, D): as timm makes it anew for every image, and the patches of an overlay."""
        model = self.model
        weight, count = model.patch_embed.proj.weight, math.prod(model.tokens_spatial_shape)
        table: Tensor = model._pos_embed(weight.new_zeros(1, count, weight.shape[0]))
        if overlay is not None:
            conv = model.patch_embed.proj
            exact = F.conv2d(overlay.double()[None], weight.double(), stride=conv.stride, padding=conv.padding)
            table = table.double() + exact.flatten(2).transpose(1, 2)
        return nn.Parameter(table.to(weight.dtype), requires_grad=False)


def _unit(model: Any) -> list[int]:
    """How many patches are on the sides of a mask unit: attention's, or what all stages together pool."""
    pooled: list[int] = [1, 1]
    for stride in model.unroll.schedule:
        pooled = [a * b for a, b in zip(pooled, stride, strict=True)]
    return [math.lcm(a, b) for a, b in zip(pooled, model.mask_unit_size, strict=True)]
