"""Output mappings in exported files, and on the classifiers that come with real weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

import onnx
import pytest
import timm
import torch
from net_bounds import assert_rounding_apart, rounding
from safetensors.torch import load_file
from torch import nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Head, Preprocess, Prompt
from neuroprompt.onnxgraph.deployable import Unbaked, deployed
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.parity import check_file
from neuroprompt.training.backbone import load_backbone, load_classifier
from neuroprompt.training.model import PromptedModel


def two_blocks(name: str, **given: Any) -> PromptedModel:
    """lor-vp in a random ViT of two blocks, with that output mapping onto 4 classes."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"img_size": 32, "depth": 2, "embed_dim": 32, "num_heads": 2, "num_classes": 0}
    family: Any = Backbone.part("vit")
    grey = Preprocess((32, 32), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bicubic")
    backbone: Backbone = family(
        timm.create_model("vit_tiny_patch16_224", **options), BackboneSpec("tiny", random=True), grey
    )
    prompt = Prompt.named("lor-vp", site=backbone.site)
    for parameter in prompt.parameters():
        nn.init.normal_(parameter, std=0.5)
    return PromptedModel(backbone, prompt, Head.named(name, features=32, classes=4, **given)).eval()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """The operators of the file with a linear head."""
    model, file = two_blocks("linear"), tmp_path_factory.mktemp("plain") / "model.onnx"
    to_onnx(deployed(model), model.backbone.site.image, file)
    return operators(file)


@pytest.mark.floats
@pytest.mark.parametrize(
    ("name", "given", "more"),
    [
        ("frequency", {}, {"Gather": 1}),
        ("iterative", {"sources": 3}, {"Gather": 1, "Reshape": 1, "ReduceMean": 1}),
        ("full", {}, {"Gemm": 1}),
    ],
)
def test_the_exported_file_maps_by_a_constant(
    name: str, given: dict[str, int], more: dict[str, int], plain: Counter[str], tmp_path: Path
) -> None:
    model = two_blocks(name, classifier=nn.Linear(32, 50), **given)
    model.head.fit(torch.rand(50, 4))
    file = tmp_path / "mapped.onnx"
    to_onnx(deployed(model), model.backbone.site.image, file)
    inputs = model.inputs(torch.rand(12, 3, 32, 32))
    bound = rounding(Unbaked(model), inputs) + rounding(deployed(model), inputs)
    assert check_file(file, Unbaked(model), inputs).max_abs_diff <= bound
    assert operators(file) - plain == more
    assert not plain - operators(file)
    if name != "full":
        graph = onnx.load(file).graph
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor).tolist() for tensor in graph.initializer}
        index = cast(Any, model.head).index.flatten().tolist()
        assert index in [constants.get(node.input[1]) for node in graph.node if node.op_type == "Gather"]


@pytest.mark.floats
@pytest.mark.parametrize("name", ["deit_tiny_patch16_224", "tf_efficientnet_lite0"])
def test_source_logits_are_timms_own(name: str, shared: Path) -> None:
    weights = shared / "assets" / "weights" / f"{name}.safetensors"
    spec = BackboneSpec(name, str(weights))
    layer = load_classifier(spec)
    assert not any(p.requires_grad for p in layer.parameters())
    whole: Any = timm.create_model(name)
    whole.load_state_dict({key: value.float() for key, value in load_file(weights).items()})
    backbone = load_backbone(spec)
    made = Head.named("frequency", features=backbone.features, classes=10, classifier=layer)
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = whole.eval()(images)
        bound = rounding(whole, images)  # the same operations
        assert_rounding_apart(made.source(backbone(images)), expected, bound, bound)
