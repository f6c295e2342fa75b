"""Eva, BEiT, relative positions, CaiT: prompts have no place, and baked equals unbaked for every flavour."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
import torch
from net_bounds import assert_rounding_apart, rounding
from timm.models.beit import Beit
from timm.models.cait import Cait
from timm.models.eva import Eva
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from timm.models.vision_transformer_relpos import ResPostRelPosBlock, VisionTransformerRelPos
from torch import nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, Prompt
from neuroprompt.errors import BadSetting
from neuroprompt.training.backbone import load_backbone

SMALL: dict[str, Any] = {"img_size": (32, 24), "patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4}
ROPE: dict[str, Any] = {"use_rot_pos_emb": True, "use_abs_pos_emb": False}
GQA: dict[str, Any] = {"attn_type": "rope", "qkv_fused": False}
FLAVOURS: dict[str, tuple[Any, dict[str, Any]]] = {
    "eva": (Eva, {}),
    "eva02": (Eva, {"use_rot_pos_emb": True, "swiglu_mlp": True, "scale_mlp": True, "global_pool": "token"}),
    "eva02-unfused": (Eva, {"use_rot_pos_emb": True, "qkv_fused": False, "scale_attn_inner": True}),
    "post-norm": (Eva, {"use_post_norm": True, "use_rot_pos_emb": True}),
    "dinov3": (Eva, {**ROPE, "rope_type": "dinov3", "num_reg_tokens": 4, "init_values": 0.1, "rope_rotate_half": True}),
    "dinov3-dynamic": (Eva, {**ROPE, "rope_type": "dinov3", "num_reg_tokens": 2, "dynamic_img_size": True}),
    "dynamic": (Eva, {"use_rot_pos_emb": True, "dynamic_img_size": True, "no_embed_class": True}),
    "mixed": (Eva, {**ROPE, "rope_type": "mixed"}),
    "no-class": (Eva, {**ROPE, "class_token": False, "global_pool": "avgmax"}),
    "perception": (Eva, {"use_rot_pos_emb": True, "attn_type": "rope", "use_pre_transformer_norm": True}),
    "map": (Eva, {"use_rot_pos_emb": True, "attn_type": "rope", "global_pool": "map"}),
    "grouped": (Eva, {**ROPE, **GQA, "num_kv_heads": 2, "qk_norm": True, "attn_only_layer_scale": True}),
    "gated": (Eva, {**ROPE, "attn_type": "rope", "gated": True, "init_values": 0.1, "global_pool": "max"}),
    "beit": (Beit, {"use_rel_pos_bias": True, "init_values": 0.1}),
    "beit-shared": (Beit, {"use_shared_rel_pos_bias": True, "use_abs_pos_emb": False, "global_pool": "token"}),
    "beit-both": (Beit, {"use_rel_pos_bias": True, "use_shared_rel_pos_bias": True, "swiglu_mlp": True}),
    "relpos": (VisionTransformerRelPos, {"rel_pos_type": "bias", "class_token": True, "global_pool": "token"}),
    "relpos-mlp": (VisionTransformerRelPos, {"rel_pos_type": "mlp", "fc_norm": True}),
    "relpos-shared": (VisionTransformerRelPos, {"shared_rel_pos": True, "qk_norm": True}),
    "relpos-post": (VisionTransformerRelPos, {"block_fn": ResPostRelPosBlock, "init_values": None}),
    "cait": (Cait, {"init_values": 0.5}),
    "cait-average": (Cait, {"init_values": 0.5, "global_pool": "avg", "qkv_bias": False}),
    "vit-post": (VisionTransformer, {"block_fn": ResPostBlock, "init_values": None}),
}
FAMILIES = {Eva: "eva", Beit: "beit", VisionTransformerRelPos: "relpos", Cait: "cait", VisionTransformer: "vit"}


def small(flavour: str) -> Backbone:
    """A net whose weights are all random and large, so that no term hides behind another; its images are oblong."""
    architecture, options = FLAVOURS[flavour]
    options = dict(options)
    gated = options.pop("gated", False)
    model = architecture(**SMALL, num_classes=0, **options)
    if gated:  # an argument of Eva's blocks that Eva does not hand on
        for block in model.blocks:
            block.attn.gate = nn.Linear(32, 32)
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.ndim == 1 else 0.2)
    family: Any = Backbone.family(model)
    assert family.name == FAMILIES[architecture]
    pixels = Preprocess((32, 24), (0.0,) * 3, (1.0,) * 3)
    return cast(Backbone, family(model, BackboneSpec("small", random=True), pixels).requires_grad_(False).eval())


@pytest.mark.floats
@pytest.mark.parametrize("blocks", [1, 3], ids=["shallow", "deep"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_in_float64_baked_and_unbaked_differ_by_rounding_alone(flavour: str, blocks: int) -> None:
    backbone = small(flavour).double()
    before = copy.deepcopy(backbone.state_dict())
    images, tokens = torch.randn(2, 3, 32, 24).double(), torch.randn(blocks, 5, 32).double()
    bare, unbaked, baked = backbone(images), backbone(images, tokens), backbone.baked(tokens)
    bounds = rounding(baked, images), rounding(backbone, images, tokens)
    assert torch.equal(bare, cast(Any, backbone).model(images))
    assert (unbaked - bare).abs().max() > 1e-3
    assert_rounding_apart(baked(images), unbaked, *bounds)
    assert_rounding_apart(backbone.baked()(images), bare, *bounds)
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    tokens[0, 2, 3] *= 1.01  # one number of the prompt, off by 1 %
    with pytest.raises(AssertionError, match="not close"):
        assert_rounding_apart(backbone.baked(tokens)(images), unbaked, *bounds)


@pytest.mark.floats
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_baked_overlay_equals_an_added_one(flavour: str) -> None:
    backbone = small(flavour)
    images, overlay, tokens = torch.randn(2, 3, 32, 24), torch.randn(3, 32, 24), torch.randn(3, 5, 32)
    for prompt in (None, tokens):
        added = backbone(images + overlay, prompt)
        assert (added - backbone(images, prompt)).abs().max() > 1e-3
        baked = backbone.baked(prompt, overlay)
        entering = (images + overlay,) if prompt is None else (images + overlay, prompt)
        assert_rounding_apart(baked(images), added, rounding(baked, images), rounding(backbone, *entering))


@pytest.mark.floats
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_order_of_prompts_is_not_seen(flavour: str) -> None:
    """They have no place: in another order they are the same prompt."""
    backbone = small(flavour).double()
    images, tokens = torch.randn(2, 3, 32, 24).double(), torch.randn(1, 5, 32).double()
    bound = rounding(backbone, images, tokens)
    assert_rounding_apart(backbone(images, tokens.flip(1)), backbone(images, tokens), bound, bound)


@pytest.mark.parametrize("flavour", ["eva02", "dinov3", "beit-both", "relpos-shared", "cait"])
def test_a_stream_is_the_same_in_the_lean_form(flavour: str) -> None:
    backbone = small(flavour).double()
    images = torch.randn(2, 3, 32, 24).double()
    bare = backbone(images)
    for method in ("lspt", "gate-vpt"):
        prompt = Prompt.named(method, site=backbone.site).double()
        for parameter in prompt.parameters():
            nn.init.normal_(parameter, std=0.5)
        stream = prompt.stream()
        assert stream is not None
        entered = backbone(images, stream)
        assert (entered - bare).abs().max() > 1e-3
        lean = backbone.baked()(images, prompt.stream())
        assert_rounding_apart(lean, entered, 2 * rounding(lambda x, p=prompt: backbone(x, p.stream()), images))


@pytest.mark.parametrize("shape", [(2, 5, 32), (3, 5, 31)])
def test_tokens_of_a_wrong_shape_are_rejected(shape: tuple[int, ...]) -> None:
    backbone = small("dinov3")
    with pytest.raises(BadSetting, match="1 or 3 blocks, tokens, 32 channels"):
        backbone(torch.randn(1, 3, 32, 24), torch.randn(shape))


@pytest.mark.parametrize(
    ("name", "size", "family"),
    [
        ("vit_small_patch14_dinov2", 518, "vit"),
        ("vit_small_patch14_reg4_dinov2", 518, "vit"),
        ("vit_small_patch16_dinov3", 256, "eva"),
        ("eva02_tiny_patch14_336", 336, "eva"),
        ("vit_pe_core_tiny_patch16_384", 384, "eva"),
        ("beit_base_patch16_224", 224, "beit"),
        ("cait_xxs24_384", 384, "cait"),
        ("vit_relpos_small_patch16_224", 224, "relpos"),
    ],
)
def test_named_timm_models_at_their_own_size(name: str, size: int, family: str) -> None:
    with torch.device("meta"):
        backbone = load_backbone(BackboneSpec(name, random=True))
        assert type(backbone).name == family
        assert backbone.site.image == (3, size, size)
        tokens = torch.empty(backbone.site.depth, 4, backbone.site.width)
        assert backbone(torch.empty(1, 3, size, size), tokens).shape == (1, backbone.features)
