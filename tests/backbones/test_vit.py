"""Vision Transformers: prompts in timm's blocks, baked equal to unbaked for every flavour."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from net_bounds import assert_rounding_apart, rounding
from safetensors.torch import load_file
from timm.layers.attention import Attention
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer
from torch import Tensor, nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess
from neuroprompt.errors import BadSetting
from neuroprompt.training.backbone import load_backbone

SMALL: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4, "num_classes": 0}
PIXELS = Preprocess((32, 32), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bicubic")
FLAVOURS: dict[str, dict[str, Any]] = {
    "class-token": {},
    "dinov2": {"init_values": 0.1},
    "dinov2-registers": {"reg_tokens": 4, "no_embed_class": True, "init_values": 0.1},
    "no-embed-class": {"no_embed_class": True},
    "average": {"class_token": False, "global_pool": "avg"},
    "average-fc-norm": {"global_pool": "avg", "fc_norm": True},
    "siglip": {"class_token": False, "global_pool": "map"},
    "clip": {"pre_norm": True},
    "qk-norm": {"qk_norm": True},
    "siglip-prefix": {"global_pool": "map", "reg_tokens": 2, "pool_include_prefix": True},
    "average-and-max": {"global_pool": "avgmax", "class_token": False},
    "dynamic-size": {"dynamic_img_size": True, "reg_tokens": 1},
    "scaled": {"scale_attn_norm": True, "scale_mlp_norm": True},
    "gated": {"gated": True},
    "no-bias": {"qkv_bias": False, "final_norm": False},
}


def small(gated: bool = False, **flavour: Any) -> Backbone:
    """A ViT whose weights are all random and large, so that no term hides behind another."""
    model = VisionTransformer(**SMALL, **flavour)
    if gated:  # timm's Attention has a gate, its VisionTransformer no argument for it
        for block in model.blocks:
            block.attn = Attention(32, num_heads=4, qkv_bias=True, gated=True)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.ndim == 1 else 0.2)
    family = cast(Any, Backbone.part("vit"))
    assert family.holds(model)
    return cast(Backbone, family(model, BackboneSpec("small", random=True), PIXELS).requires_grad_(False).eval())


@pytest.mark.floats
@pytest.mark.parametrize("blocks", [1, 3], ids=["shallow", "deep"])
@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
def test_baked_equals_unbaked(flavour: dict[str, Any], blocks: int) -> None:
    backbone = small(**flavour)
    before = copy.deepcopy(backbone.state_dict())
    images, tokens = torch.randn(3, 3, 32, 32), torch.randn(blocks, 5, 32)
    bare, unbaked = backbone(images), backbone(images, tokens)
    baked = backbone.baked(tokens)
    bounds = rounding(baked, images), rounding(backbone, images, tokens)
    assert (unbaked - bare).abs().max() > 1e-2
    assert_rounding_apart(baked(images), unbaked, *bounds)
    tokens[0, 3] = tokens[0, 2]  # one key and its value are not there
    with pytest.raises(AssertionError, match="not close"):
        assert_rounding_apart(backbone.baked(tokens)(images), unbaked, *bounds)
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


@pytest.mark.floats
@pytest.mark.parametrize("blocks", [0, 1, 3], ids=["overlay", "overlay+shallow", "overlay+deep"])
@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
def test_a_baked_overlay_equals_an_added_one(flavour: dict[str, Any], blocks: int) -> None:
    backbone = small(**flavour)
    before = copy.deepcopy(backbone.state_dict())
    images, overlay = torch.randn(3, 3, 32, 32), torch.randn(3, 32, 32)
    tokens = torch.randn(blocks, 5, 32) if blocks else None
    prompted = images + overlay, *(() if tokens is None else (tokens,))
    added = backbone(*prompted)
    assert (added - backbone(images, tokens)).abs().max() > 1e-2
    baked = backbone.baked(tokens, overlay)
    assert_rounding_apart(baked(images), added, rounding(baked, images), rounding(backbone, *prompted))
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


@pytest.mark.floats
@pytest.mark.parametrize("flavour", [{"reg_tokens": 2}, {"reg_tokens": 2, "no_embed_class": True}, {"pre_norm": True}])
def test_in_float64_a_baked_overlay_differs_by_rounding_alone(flavour: dict[str, Any]) -> None:
    backbone = small(**flavour).double()
    images, overlay = torch.randn(2, 3, 32, 32).double(), torch.randn(3, 32, 32).double()
    baked, added = backbone.baked(None, overlay), backbone(images + overlay)
    bounds = rounding(baked, images), rounding(backbone, images + overlay)
    assert_rounding_apart(baked(images), added, *bounds)
    overlay[0, 4, 4] *= 1.01
    with pytest.raises(AssertionError, match="not close"):  # one value of the overlay, off by 1 %
        assert_rounding_apart(backbone.baked(None, overlay)(images), added, *bounds)


def test_an_overlay_without_a_table_of_positions_is_added_to_the_image() -> None:
    with pytest.raises(BadSetting, match=r"\(3, 16, 16\).*\(3, 32, 32\)"):
        small().baked(None, torch.randn(3, 16, 16))
    hybrid = load_backbone(BackboneSpec("vit_tiny_r_s16_p8_224", image_size=32, random=True))
    for backbone in (small(pos_embed="none"), hybrid):  # or patches that are more than one convolution
        images, overlay = torch.randn(2, 3, 32, 32), torch.randn(3, 32, 32)
        lean = backbone.baked()
        assert torch.equal(backbone.baked(None, overlay)(images), lean(images + overlay))
        assert not torch.equal(lean(images + overlay), lean(images))


@pytest.mark.floats
@pytest.mark.parametrize("blocks", [1, 3], ids=["shallow", "deep"])
@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
def test_in_float64_baked_and_unbaked_differ_by_rounding_alone(flavour: dict[str, Any], blocks: int) -> None:
    backbone = small(**flavour).double()
    images, tokens = torch.randn(2, 3, 32, 32).double(), torch.randn(blocks, 5, 32).double()
    baked, unbaked = backbone.baked(tokens), backbone(images, tokens)
    bounds = rounding(baked, images), rounding(backbone, images, tokens)
    assert_rounding_apart(baked(images), unbaked, *bounds)
    for wrong in (backbone, tokens):  # one weight of the backbone, or one number of the prompt, off by 1 %
        weight = cast(Any, wrong).model.blocks[0].attn.qkv.weight if wrong is backbone else tokens[0]
        weight[2, 3] *= 1.01
        with pytest.raises(AssertionError, match="not close"):
            assert_rounding_apart(backbone.baked(tokens)(images), unbaked, *bounds)
        weight[2, 3] /= 1.01


@pytest.mark.floats
def test_without_tokens_it_is_timms_own_network() -> None:
    backbone = small()
    images = torch.randn(2, 3, 32, 32)
    features = backbone(images)
    assert torch.equal(features, cast(Any, backbone).model(images))
    lean = backbone.baked(None)
    assert_rounding_apart(lean(images), features, rounding(lean, images), rounding(backbone, images))


def test_deep_prompts_are_keys_and_values_of_every_block() -> None:
    """A block's prompts are replaced, not carried on: changing block 2's leaves what block 1 saw untouched."""
    backbone = small()
    seen: dict[int, Tensor] = {}
    for i, block in enumerate(cast(Any, backbone).model.blocks):
        block.register_forward_pre_hook(lambda _m, args, i=i: seen.__setitem__(i, args[0]))
    tokens = torch.randn(3, 5, 32)
    backbone(torch.randn(2, 3, 32, 32), tokens)
    for i in range(3):
        assert seen[i].shape == (2, 17 + 5, 32)
        assert torch.equal(seen[i][:, -5:], tokens[i].expand(2, -1, -1))


def test_the_gradient_reaches_tokens_and_nothing_else() -> None:
    backbone = small()
    for blocks in (1, 3):
        tokens = torch.randn(blocks, 5, 32, requires_grad=True)
        backbone(torch.randn(2, 3, 32, 32), tokens).square().sum().backward()
        assert tokens.grad is not None
        assert all(float(g.abs().sum()) > 0 for g in tokens.grad)
    assert all(parameter.grad is None for parameter in backbone.parameters())


@pytest.mark.parametrize("shape", [(2, 5, 32), (3, 5, 31), (5, 32)])
def test_tokens_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    backbone = small()
    with pytest.raises(BadSetting, match="1 or 3 blocks, tokens, 32 channels"):
        backbone(torch.randn(1, 3, 32, 32), torch.randn(shape))
    with pytest.raises(BadSetting):
        backbone.baked(torch.randn(shape))


@pytest.mark.parametrize("flavour", [{"block_fn": ParallelScalingBlock}, {"attn_layer": "diff"}])
def test_other_blocks_are_not_held(flavour: dict[str, Any]) -> None:
    assert not cast(Any, Backbone.part("vit")).holds(VisionTransformer(**SMALL, **flavour))


@pytest.mark.floats
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vit_small_patch14_reg4_dinov2", 28),
        ("vit_xsmall_patch16_clip_224", 32),
        ("deit_tiny_distilled_patch16_224", 32),
        ("vit_wee_patch16_reg1_gap_256", 32),
        pytest.param("vit_base_patch32_224", 32, marks=pytest.mark.slow),
        pytest.param("vit_base_patch16_224_miil", 32, marks=pytest.mark.slow),
        pytest.param("vit_base_patch32_clip_224", 32, marks=pytest.mark.slow),
    ],
)
def test_named_timm_models(name: str, size: int) -> None:
    backbone = load_backbone(BackboneSpec(name, image_size=size, random=True))
    if type(backbone).name != "vit":
        assert name == "vit_wee_patch16_reg1_gap_256"  # parallel blocks
        return
    assert backbone.preprocess.size == (size, size)
    tokens = torch.randn(backbone.site.depth, 3, backbone.site.width)
    images = torch.randn(2, *backbone.site.image)
    unbaked = backbone(images, tokens)
    assert unbaked.shape == (2, backbone.features)
    baked, bound = backbone.baked(tokens), rounding(backbone, images, tokens)
    assert_rounding_apart(baked(images), unbaked, rounding(baked, images), bound)
    overlay = torch.randn(backbone.site.image)
    added, baked = backbone(images + overlay, tokens), backbone.baked(tokens, overlay)
    bound = rounding(backbone, images + overlay, tokens)
    assert_rounding_apart(baked(images), added, rounding(baked, images), bound)


@pytest.mark.floats
def test_real_weights_at_another_image_size(shared: Path) -> None:
    file = shared / "assets" / "weights" / "deit_tiny_patch16_224.safetensors"
    backbone = load_backbone(BackboneSpec("deit_tiny_patch16_224", str(file), 112))
    assert backbone.site.image == (3, 112, 112)
    assert backbone.preprocess.mean == (0.485, 0.456, 0.406)
    weights = load_file(file)
    own = cast(Any, backbone).model.state_dict()
    assert set(own) == {key for key in weights if not key.startswith("head.")}
    assert all(torch.equal(own[key], weights[key]) for key in own if key != "pos_embed")
    tokens, images = torch.randn(12, 10, 192), torch.randn(2, 3, 112, 112)
    unbaked = backbone(images, tokens)
    baked = backbone.baked(tokens)
    assert_rounding_apart(baked(images), unbaked, rounding(baked, images), rounding(backbone, images, tokens))
