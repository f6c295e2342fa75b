"""A small backbone and prompts for it whose tokens depend on the image, in float64."""

from __future__ import annotations

from typing import Any, cast

from timm.layers.attention import Attention
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, Prompt

MEMORIES = ["lstm", "lif", "slstm"]
GREY = Preprocess((32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic")


def small(gated: bool = False, **flavour: Any) -> Backbone:
    """A ViT of 4 blocks of 24 channels, all weights random, in float64: 16 patches, a class token and a register."""
    model = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=24, depth=4, num_heads=2, num_classes=0, reg_tokens=1, **flavour
    )
    if gated:  # timm's Attention has a gate, its VisionTransformer no argument for it
        for block in model.blocks:
            block.attn = Attention(24, num_heads=2, qkv_bias=True, gated=True)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    family = cast(Any, Backbone.part("vit"))
    backbone: Backbone = family(model, BackboneSpec("small", random=True), GREY)
    return backbone.requires_grad_(False).double().eval()


def prompt_for(backbone: Backbone, method: str, **settings: Any) -> Any:
    """The method in float64 and eval mode, every parameter away from zero."""
    prompt = Prompt.named(method, site=backbone.site, tokens=3, **settings).double().eval()
    for parameter in prompt.parameters():
        nn.init.normal_(parameter, std=0.5)
    return prompt
