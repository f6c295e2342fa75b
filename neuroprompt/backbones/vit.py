"""Vision Transformers of timm: blocks with plain attention, with any class token, registers or pooling."""

from __future__ import annotations

from timm.layers.attention import Attention
from timm.models.vision_transformer import Block, ResPostBlock, VisionTransformer
from torch import Tensor, nn

from neuroprompt.backbones._transformer import Transformer


class ViT(Transformer):
    """A frozen timm VisionTransformer, among them DeiT, DINOv2, CLIP's and SigLIP's towers.

    Prompts enter behind the position table and CLIP's norm_pre.
    """

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is a VisionTransformer with timm's own forward pass, plain blocks and plain attention."""
        return (
            isinstance(model, VisionTransformer)
            and type(model).forward_features is VisionTransformer.forward_features
            and all(type(block) in (Block, ResPostBlock) and type(block.attn) is Attention for block in model.blocks)
        )

    def embed(self, images: Tensor) -> tuple[Tensor, None]:
        """Class token, registers and patches."""
        model = self.model
        x: Tensor = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(images))))
        return x, None
