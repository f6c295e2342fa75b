"""The rotated stream of tokens: the same logits, no gain in a norm; a stream that cannot be turned is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from net_bounds import rounding
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.onnxgraph.activations import largest
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.fuse import fuse
from neuroprompt.onnxgraph.rotate import rotate, rotation
from neuroprompt.onnxgraph.smooth import scale_values
from neuroprompt.training.backbone import EMBEDDED, load_backbone

DEPTH, WIDTH = 3, 128


@pytest.fixture(scope="module", params=["deep", "none"])
def module(request: pytest.FixtureRequest) -> nn.Module:
    """Blocks with or without a prompt's keys and values; gains, shifts and biases of all kinds; a head."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EMBEDDED, "depth", DEPTH)
        backbone = load_backbone(BackboneSpec("embedded", image_size=16, random=True))
        for part in backbone.modules():
            if isinstance(part, nn.LayerNorm):
                nn.init.uniform_(part.weight, 0.5, 2.0)
                nn.init.normal_(part.bias)
        tokens: Tensor | None = torch.randn(DEPTH, 4, WIDTH) if request.param == "deep" else None
        return nn.Sequential(backbone.baked(tokens), nn.Linear(WIDTH, 10)).eval()


@pytest.fixture(scope="module")
def exported(module: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "model.onnx"
    to_onnx(module, (3, 16, 16), file)
    return file


@pytest.fixture
def model(exported: Path) -> onnx.ModelProto:
    model = onnx.load(str(exported))
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{i}"
    return model


def apart(model: onnx.ModelProto, module: nn.Module, file: Path) -> float:
    """The largest difference from PyTorch's logits, in roundings of its own sums."""
    onnx.save(model, str(file))
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = module(images).numpy()
    got = ImageTarget.named("onnxruntime").logits(file, images.numpy())
    return float(np.abs(got - expected).max()) / rounding(module, images)


def constants(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_ones_and_lengths_stay() -> None:
    turn = rotation(48)
    np.testing.assert_array_less(np.abs(turn.T @ turn - np.eye(48)), 48 * np.finfo(np.float64).eps)
    np.testing.assert_array_less(np.abs(turn.sum(axis=1) - 1), 48 * np.finfo(np.float64).eps)
    assert np.abs(turn).max() < 0.7, "no channel stays what it was"


@pytest.mark.floats
def test_the_rotated_file_computes_the_same(model: onnx.ModelProto, module: nn.Module, tmp_path: Path) -> None:
    before = constants(model)
    assert rotate(model) == 2 * DEPTH + 1
    onnx.checker.check_model(model, full_check=True)
    after = constants(model)
    for norm in [node for node in model.graph.node if node.op_type == "LayerNormalization"]:
        np.testing.assert_array_equal(after[norm.input[1]], np.ones(WIDTH, np.float32))
        np.testing.assert_array_equal(after[norm.input[2]], np.zeros(WIDTH, np.float32))
    assert not {name for name, values in before.items() if values.ndim > 1 and values.size > WIDTH} & {
        name for name in after if name in before and before[name].shape[-1:] == (WIDTH,) and "expand" in name
    }
    # Weights are rounded once more to 32 bits, and sums have another order: as the fused file, and once more.
    assert apart(model, module, tmp_path / "turned.onnx") <= 4


@pytest.mark.floats
def test_values_carry_the_scale_of_what_attention_gives(
    model: onnx.ModelProto, module: nn.Module, tmp_path: Path
) -> None:
    """The prompt's values among them; no operator is added, and the fused file fits as before."""
    nodes = [node.op_type for node in model.graph.node]
    results = [node.input[0] for node in model.graph.node if node.op_type == "MatMul" and "view" in node.input[0]]
    images = np.random.default_rng(0).standard_normal((4, 3, 16, 16)).astype(np.float32)
    wide = largest(model, results, images)
    assert scale_values(model, wide) == set(results)
    assert len(results) == DEPTH
    assert [node.op_type for node in model.graph.node] == nodes
    assert apart(model, module, tmp_path / "scaled.onnx") <= 4
    even = largest(model, results, images)
    for name in results:
        assert even[name].max() / np.median(even[name]) < wide[name].max() / np.median(wide[name])
    assert fuse(tmp_path / "scaled.onnx", tmp_path / "fused.onnx", share=False) == DEPTH


def test_a_stream_that_something_else_takes_is_left_alone(model: onnx.ModelProto) -> None:
    stream = next(node.input[0] for node in model.graph.node if node.op_type == "LayerNormalization")
    model.graph.node.append(helper.make_node("Relu", [stream], ["seen"], name="seen"))
    usual = model.SerializeToString(deterministic=True)
    assert rotate(model) == 0
    assert model.SerializeToString(deterministic=True) == usual
