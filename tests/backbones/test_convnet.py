"""ResNets and EfficientNets: timm's own features, overlays folded exactly, node counts, real weights, refusals."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from net_bounds import assert_rounding_apart, rounding
from timm.models import _efficientnet_builder
from timm.models.efficientnet import EfficientNet
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Head, Preprocess, Prompt, Stream
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.onnxgraph.deployable import Unbaked, deployed
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.parity import check_file
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.model import PromptedModel

BASIC: Any = BasicBlock
BUILDER: Any = _efficientnet_builder


def _resnet(**flavour: Any) -> ResNet:
    net: ResNet = ResNet(BASIC, (1, 1, 1, 1), channels=(8, 8, 12, 16), num_classes=0, **flavour)
    return net


def _efficientnet(**flavour: Any) -> EfficientNet:
    blocks = BUILDER.decode_arch_def([["ds_r1_k3_s1_e1_c8"], ["ir_r1_k3_s2_e2_c12"]])
    net: EfficientNet = EfficientNet(blocks, num_classes=0, stem_size=8, num_features=16, **flavour)
    return net


def _group_norm(channels: int, **options: Any) -> nn.Module:
    options.pop("act_layer", None)
    return nn.GroupNorm(4, channels, **options)


NETS: dict[str, Any] = {
    "resnet": _resnet,
    "resnet-deep-stem": lambda: _resnet(stem_type="deep", stem_width=8, avg_down=True),
    "resnet-tiered-stem": lambda: _resnet(stem_type="deep_tiered", stem_width=16),
    "resnet-group-norm": lambda: _resnet(norm_layer=_group_norm),
    "efficientnet": _efficientnet,
    "efficientnet-same": lambda: _efficientnet(pad_type="same"),
}


def small(net: str, size: tuple[int, int] = (32, 32)) -> Backbone:
    """A net whose weights and running statistics are all random, so that no term hides behind another."""
    model = NETS[net]()
    family = cast(Any, Backbone.part(net.partition("-")[0]))
    assert family.holds(model)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, *((0.5, 1.5) if name.endswith("weight") else (-0.3, 0.3)))
    model.train()
    with torch.no_grad():
        for _ in range(10):
            model(torch.randn(16, 3, *size) + 0.5)
    spec, pixels = BackboneSpec("small", random=True), Preprocess(size, (0.0,) * 3, (1.0,) * 3, "bicubic")
    return cast(Backbone, family(model, spec, pixels).requires_grad_(False).eval())


@pytest.mark.floats
@pytest.mark.parametrize("size", [(32, 32), (35, 50)], ids=["square", "odd"])
@pytest.mark.parametrize("net", NETS)
def test_a_baked_overlay_equals_an_added_one(net: str, size: tuple[int, int]) -> None:
    backbone = small(net, size)
    before = copy.deepcopy(backbone.state_dict())
    images, overlay = torch.randn(3, 3, *size), torch.randn(3, *size)
    bare, added = backbone(images), backbone(images + overlay)
    assert (added - bare).abs().max() > 1e-2
    assert torch.equal(bare, cast(Any, backbone).model(images))
    baked, lean = backbone.baked(None, overlay), backbone.baked()
    assert_rounding_apart(baked(images), added, rounding(baked, images), rounding(backbone, images + overlay))
    assert_rounding_apart(lean(images), bare, rounding(lean, images), rounding(backbone, images))
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert torch.equal(bare, backbone(images))


@pytest.mark.floats
@pytest.mark.parametrize("net", NETS)
def test_in_float64_a_baked_overlay_differs_by_rounding_alone(net: str) -> None:
    backbone = small(net).double()
    images, overlay = torch.randn(2, 3, 32, 32).double(), torch.randn(3, 32, 32).double()
    baked, added = backbone.baked(None, overlay), backbone(images + overlay)
    bounds = rounding(baked, images), rounding(backbone, images + overlay)
    assert_rounding_apart(baked(images), added, *bounds)
    overlay[0, 4, 4] *= 1.01
    with pytest.raises(AssertionError, match="not close"):  # one value of the overlay, off by 1 %
        assert_rounding_apart(backbone.baked(None, overlay)(images), added, *bounds)


@pytest.mark.parametrize("net", ["resnet", "efficientnet-same"])
def test_a_baked_overlay_costs_one_addition(net: str, tmp_path: Path) -> None:
    backbone = small(net)
    forms = {"timm": backbone, "baked": backbone.baked(None, torch.randn(3, 32, 32))}
    nodes = {}
    for name, module in forms.items():
        to_onnx(module, backbone.site.image, tmp_path / "net.onnx")
        nodes[name] = operators(tmp_path / "net.onnx")
    assert nodes["baked"] - nodes["timm"] == {"Add": 1}
    assert not nodes["timm"] - nodes["baked"]
    assert "BatchNormalization" not in nodes["baked"]


@pytest.mark.parametrize("net", ["resnet", "efficientnet"])
def test_tokens_have_no_place(net: str) -> None:
    backbone = small(net)
    assert (backbone.site.depth, backbone.site.image) == (0, (3, 32, 32))
    assert backbone.site.width == backbone.features == backbone(torch.randn(1, 3, 32, 32)).shape[1]

    class Some(Stream):
        def enter(self, patches: Tensor) -> Tensor:
            return patches

        def after(self, block: int, prompts: Tensor, patches: Tensor) -> Tensor:
            return prompts

    tokens = torch.randn(1, 5, backbone.features)
    for enter in (
        lambda: backbone(torch.randn(1, 3, 32, 32), tokens),
        lambda: backbone(torch.randn(1, 3, 32, 32), Some()),
        lambda: backbone.baked(tokens),
    ):
        with pytest.raises(Unsupported, match="tokens in 'small'") as caught:
            enter()
        assert "\n" not in str(caught.value)
    with pytest.raises(BadSetting, match=r"\(3, 16, 16\)"):
        backbone.baked(None, torch.randn(3, 16, 16))


def test_the_gradient_reaches_the_image() -> None:
    for net in ("resnet", "efficientnet"):
        images = torch.randn(2, 3, 32, 32, requires_grad=True)
        backbone = small(net)
        backbone(images).square().sum().backward()
        assert images.grad is not None
        assert float(images.grad.abs().sum()) > 0
        assert all(parameter.grad is None for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("name", "size", "family", "features"),
    [
        ("resnet18", None, "resnet", 512),
        ("resnet50", 64, "resnet", 2048),
        ("mobilenetv2_050", 96, "efficientnet", 1280),
    ],
)
def test_named_timm_models(name: str, size: int | None, family: str, features: int) -> None:
    backbone = load_backbone(BackboneSpec(name, image_size=size, random=True))
    assert type(backbone).name == family
    side = size or 224
    assert (backbone.features, backbone.site.image) == (features, (3, side, side))
    assert backbone(torch.randn(1, 3, side, side)).shape == (1, features)


def test_a_classifier_is_not_part_of_a_backbone() -> None:
    family = cast(Any, Backbone.part("resnet"))
    pixels = Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3, "bicubic")
    with pytest.raises(Unsupported, match="classifier"):
        family(ResNet(BASIC, (1, 1, 1, 1), channels=(8, 8, 8, 8)), BackboneSpec("x", random=True), pixels)


def _lite0(shared: Path, size: int | None = None) -> Backbone:
    file = shared / "assets" / "weights" / "tf_efficientnet_lite0.safetensors"
    return load_backbone(BackboneSpec("tf_efficientnet_lite0", str(file), size))


def _prompted(backbone: Backbone) -> PromptedModel:
    """A LoR-VP prompt that moves the logits by as much as images do."""
    prompt = Prompt.named("lor-vp", site=backbone.site)
    nn.init.normal_(prompt.get_parameter("left"), std=10)
    return PromptedModel(backbone, prompt, Head.named("linear", features=backbone.features, classes=10)).eval()


@pytest.mark.floats
@pytest.mark.parametrize("size", [None, 100])
def test_real_weights_with_a_prompt(shared: Path, size: int | None) -> None:
    backbone = _lite0(shared, size)
    assert backbone.preprocess.mean == (0.5, 0.5, 0.5)
    assert backbone.site.image == (3, size or 224, size or 224)
    model = _prompted(backbone)
    inputs = model.inputs(torch.rand(2, *backbone.site.image))
    with torch.no_grad():
        features, overlay = backbone(inputs), model.overlay()
        assert overlay is not None
        prompted = backbone(inputs + overlay)
        assert (prompted - features).abs().max() > 0.1 * features.max()
        baked = backbone.baked(None, overlay)
        assert_rounding_apart(baked(inputs), prompted, rounding(baked, inputs), rounding(backbone, inputs + overlay))


@pytest.mark.floats
@pytest.mark.slow
def test_real_weights_in_onnx_runtime(shared: Path, tmp_path: Path) -> None:
    model = _prompted(_lite0(shared))
    baked, unbaked = deployed(model), Unbaked(model)
    to_onnx(baked, model.backbone.site.image, tmp_path / "lite0.onnx")
    inputs = model.inputs(torch.rand(12, *model.backbone.site.image))
    bound = rounding(baked, inputs[:2]) + rounding(unbaked, inputs[:2])
    assert check_file(tmp_path / "lite0.onnx", unbaked, inputs).max_abs_diff <= bound
