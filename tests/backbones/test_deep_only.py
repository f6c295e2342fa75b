"""Swin V2 of both kinds, Hiera and XCiT: prompts of every block's own, baked equal to unbaked."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
import torch
from net_bounds import assert_rounding_apart, rounding
from timm.models.hiera import Hiera
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.swin_transformer_v2_cr import SwinTransformerV2Cr
from timm.models.xcit import Xcit
from torch import nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, Prompt
from neuroprompt.errors import BadSetting, Unsupported

SWIN: dict[str, Any] = {"img_size": 32, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4)}
XCIT: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4}
UNITS = {"mask_unit_size": (4, 4), "mask_unit_attn": (True, True, False)}
HIERA: dict[str, Any] = {"img_size": 32, "embed_dim": 16, "num_heads": 2, "stages": (1, 2, 1), "q_pool": 2, **UNITS}
FLAVOURS: dict[str, tuple[Any, dict[str, Any]]] = {
    "window-4": (SwinTransformerV2, {**SWIN, "window_size": 4}),
    "filled-up": (SwinTransformerV2, {**SWIN, "window_size": 3}),
    "always-shifted": (SwinTransformerV2, {**SWIN, "window_size": 4, "always_partition": True}),
    "no-bias": (SwinTransformerV2, {**SWIN, "window_size": 2, "qkv_bias": False}),
    "dynamic-mask": (SwinTransformerV2, {**SWIN, "window_size": 4, "strict_img_size": False}),
    "reichs-filled-up": (SwinTransformerV2Cr, {**SWIN, "window_size": 3, "extra_norm_stage": True}),
    "reichs-dynamic": (SwinTransformerV2Cr, {**SWIN, "window_size": 4, "strict_img_size": False}),
    "hiera": (Hiera, HIERA),
    "hiera-window-places": (Hiera, {**HIERA, "abs_win_pos_embed": True, "global_pos_size": (3, 3)}),
    "hiera-no-projection": (Hiera, {**HIERA, "use_expand_proj": False, "init_values": 0.5, "global_pool": "avgmax"}),
    "hiera-pooled-once": (Hiera, {**HIERA, "q_pool": 1}),
    "xcit": (Xcit, XCIT),
    "xcit-plain": (Xcit, {**XCIT, "use_pos_embed": False, "qkv_bias": False}),
    "xcit-average": (Xcit, {**XCIT, "global_pool": "avg", "tokens_norm": True}),
}


FAMILIES = {SwinTransformerV2: "swin-v2", SwinTransformerV2Cr: "swin-v2-cr", Hiera: "hiera", Xcit: "xcit"}


def small(flavour: str) -> Backbone:
    """A net whose weights are all random and large."""
    architecture, options = FLAVOURS[flavour]
    model = architecture(num_classes=0, **options)
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.ndim == 1 else 0.2)
    family: Any = Backbone.family(model)
    assert family.name == FAMILIES[architecture]
    spec, pixels = BackboneSpec("small", random=True), Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3)
    return cast(Backbone, family(model, spec, pixels).requires_grad_(False).eval())


@pytest.mark.floats
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_in_float64_baked_and_unbaked_differ_by_rounding_alone(flavour: str) -> None:
    backbone = small(flavour).double()
    before = copy.deepcopy(backbone.state_dict())
    images, overlay = torch.randn(2, 3, 32, 32).double(), torch.randn(3, 32, 32).double()
    tokens = torch.randn(backbone.site.depth, 5, backbone.site.width).double()
    bare, unbaked, baked = backbone(images), backbone(images, tokens), backbone.baked(tokens)
    bounds = rounding(baked, images), rounding(backbone, images, tokens)
    assert torch.equal(bare, cast(Any, backbone).model(images))
    assert (unbaked - bare).abs().max() > 1e-4
    assert_rounding_apart(baked(images), unbaked, *bounds)
    assert_rounding_apart(backbone.baked()(images), bare, *bounds)
    added, painted = backbone(images + overlay, tokens), backbone.baked(tokens, overlay)
    assert_rounding_apart(painted(images), added, rounding(painted, images), rounding(backbone, images, tokens))
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    tokens[1, 2, 3] *= 1.01  # one number of the prompt, off by 1 %
    with pytest.raises(AssertionError, match="not close"):
        assert_rounding_apart(backbone.baked(tokens)(images), unbaked, *bounds)


@pytest.mark.parametrize("flavour", ["window-4", "reichs-dynamic", "hiera", "xcit"])
def test_tokens_that_are_handed_on_are_rejected(flavour: str) -> None:
    backbone = small(flavour)
    images = torch.randn(1, 3, 32, 32)
    for method in ("lspt", "vpt-shallow"):
        with pytest.raises(Unsupported, match="from block to block") as caught:
            Prompt.named(method, site=backbone.site)
        assert "\n" not in str(caught.value)
    with pytest.raises(Unsupported, match="from block to block"):
        backbone(images, torch.randn(1, 5, backbone.site.width))
    with pytest.raises(BadSetting, match="channels"):
        backbone(images, torch.randn(backbone.site.depth, 5, 7))
    with pytest.raises(BadSetting, match=r"\(3, 16, 16\)"):
        backbone.baked(None, torch.randn(3, 16, 16))
