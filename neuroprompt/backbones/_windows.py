"""What Swin Transformers share: blocks of growing width, whose attention sees one window at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from timm.layers.patch_embed import PatchEmbed
from torch import Tensor, nn

from neuroprompt.backbones._deep import each_blocks
from neuroprompt.backbones._patches import image_and_patch
from neuroprompt.backbones._pixels import need_shape
from neuroprompt.backbones._swin import Painted, Stage, with_parts
from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, PromptSite, Stream


@dataclass(frozen=True)
class Version:
    """What differs between the versions.

    network, stage, block, attention   timm's classes
    prompted   timm's block of a grid (B, H, W, D) with prompt tokens (N, D) in every window
    lean       makes the block in fewer operators, of tokens in a row (B, H W, D), with a constant prompt (N, D) or none
    embed      timm's class that cuts images into patches
    """

    network: Any
    stage: type
    block: type
    attention: type
    prompted: Callable[[Any, Tensor, Tensor], Tensor]
    lean: Callable[[Any, Tensor | None], nn.Module]
    embed: type = PatchEmbed


class Windowed(Backbone):
    """A frozen timm Swin Transformer (no classifier) with prompt tokens in every window of every block.

    x_i = Block_i(x_{i-1}, P_i): in each window, attention sees its A tokens and the N of P_i, of which nothing goes on.

    Patch merging never sees a prompt. Block i reads the first site.widths[i] channels of its tokens. Only deep prompts:
    what a block makes of one has another width than the next block's, and there is one in every window.

    VPT: Jia et al., ECCV 2022 (arXiv 2203.12119), released code for Swin (deep).
    """

    version: ClassVar[Version]

    @classmethod
    def holds(cls, model: Any) -> bool:
        """Whether it is that network of timm's own stages, blocks and window attention."""
        timms = cls.version
        if not isinstance(model, timms.network):
            return False
        stages = cls.stages(model)
        blocks: list[Any] = [block for stage in stages for block in stage.blocks]
        return (
            type(model).forward_features is timms.network.forward_features
            and type(model.patch_embed) is timms.embed
            and all(type(stage) is timms.stage for stage in stages)
            and {(type(block), type(block.attn)) for block in blocks} == {(timms.block, timms.attention)}
        )

    def __init__(self, model: Any, spec: BackboneSpec, preprocess: Preprocess) -> None:
        super().__init__(model, spec, preprocess, int(model.num_features))
        self.model = model
        image, patch = image_and_patch(model, own_size=spec.image_size is None)
        widths = tuple(int(block.dim) for stage in self.stages(model) for block in stage.blocks)
        self.site = PromptSite(
            len(widths), max(widths), image, patch, widths, weights=self.shapes(), layers=self.linear_layers()
        )

    def forward(self, images: Tensor, tokens: Tensor | Stream | None = None, keyed: int = 0) -> Tensor:
        """Features (B, F) of normalised images (B, C, H, W) with tokens (L, N, D); raises BadSetting, Unsupported."""
        model = self.model
        if tokens is None:
            x = model.forward_features(images)
        else:
            prompts = iter(each_blocks(self.site, tokens, "a Swin Transformer"))
            x = self.grid(images)
            for stage in self.stages(model):
                x = stage.downsample(x)
                for block in stage.blocks:
                    x = self.piece(self.version.prompted, block, x, next(prompts))
            x = self.last(x)
        features: Tensor = model.forward_head(x, pre_logits=True)
        return features

    def grid(self, images: Tensor) -> Tensor:
        """Patch tokens (B, H', W', D) of images (B, C, H, W)."""
        x: Tensor = self.model.patch_embed(images)
        return x

    def last(self, x: Tensor) -> Tensor:
        """What timm's head takes, of the last block's tokens (B, H', W', D)."""
        out: Tensor = self.model.norm(x)
        return out

    def block_inputs(self, images: Tensor) -> list[Tensor]:
        """Patch tokens (B, H W, D_i) that enter each block."""
        x, inputs = self.grid(images), []
        for stage in self.stages(self.model):
            x = stage.downsample(x)
            for block in stage.blocks:
                inputs.append(x.flatten(1, 2))
                x = block(x)
        return inputs

    def baked(self, tokens: Tensor | None = None, overlay: Tensor | None = None, keyed: int = 0) -> nn.Module:
        """The same network with tokens (L, N, D) as constant keys and values in every window; it shares its weights.

        overlay (C, H, W): there is no position table, so it becomes a constant map behind the patch embedding's
        convolution. Neither: the bare network in the same form. Raises BadSetting, Unsupported.
        """
        prompts = iter(() if tokens is None else each_blocks(self.site, tokens.detach(), "a Swin Transformer"))
        stages = [
            Stage(s, [self.version.lean(block, next(prompts, None)) for block in s.blocks])
            for s in self.stages(self.model)
        ]
        need_shape(overlay, self.site.image)
        return self.rebuilt(stages, overlay)

    def rebuilt(self, stages: list[Stage], overlay: Tensor | None) -> nn.Module:
        """The same timm model of other stages, and of an overlay; every other part is shared, and timm's stays."""
        embed = self.model.patch_embed if overlay is None else Painted(self.model.patch_embed, overlay)
        return with_parts(self.model, patch_embed=embed, layers=nn.Sequential(*stages))

    @staticmethod
    def stages(model: Any) -> list[Any]:
        """timm's stages."""
        return list(model.layers)
