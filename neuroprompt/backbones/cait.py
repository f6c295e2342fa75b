"""CaiT of timm: blocks whose heads talk to each other, and a class token that only the last blocks know."""

from __future__ import annotations

from timm.models.cait import Cait, LayerScaleBlock, TalkingHeadAttn
from torch import Tensor, nn

from neuroprompt.backbones._transformer import Transformer


class CaiT(Transformer):
    """A frozen timm Cait; prompts enter the blocks of patches, and leave before the class token looks at them.

    softmax(W_l q k^T) mixed by W_w: heads are mixed key by key, so that a prompt's key and value may be constants.

    Touvron et al., ICCV 2021 (arXiv 2103.17239).
    """

    prefixed = False

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is a Cait of timm's own blocks."""
        return type(model) is Cait and all(
            type(block) is LayerScaleBlock and type(block.attn) is TalkingHeadAttn for block in model.blocks
        )

    def embed(self, images: Tensor) -> tuple[Tensor, None]:
        """Patches."""
        return self.model.patch_embed(images) + self.model.pos_embed, None
