"""Convolutions in 8 bits: how their weights are rounded, and which stay in 32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from float_bounds import U32
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from neuroprompt.onnxgraph.convolutions import round_convolutions
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.quantise import quantise


def convolution(weight: NDArray[Any], bias: NDArray[Any], groups: int, inputs: int) -> onnx.ModelProto:
    """One convolution of any image."""
    value = helper.make_tensor_value_info
    ends = (
        [value("x", TensorProto.FLOAT, ["n", inputs, "h", "w"])],
        [value("y", TensorProto.FLOAT, ["n", len(weight), "p", "q"])],
    )
    constants = [
        numpy_helper.from_array(array.astype(np.float32), name)
        for name, array in zip("wb", (weight, bias), strict=True)
    ]
    conv = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", group=groups)
    graph = helper.make_graph([conv], "g", *ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def constants_of(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_the_mean_error_of_weights_goes_into_the_bias() -> None:
    """Depthwise, two pixels each: the scale is 1 by the larger one, so that 0.25 is lost; exact in binary."""
    weight = np.array([[127, 0.25], [127, 2]]).reshape(2, 1, 1, 2)
    model = convolution(weight, np.array([3.0, -1.0]), 2, 2)
    images = np.stack([np.full((2, 4), 8.0), np.full((2, 4), 4.0)])[None].astype(np.float32)
    by_name = round_convolutions(model, list(model.graph.node), images)
    node, new = model.graph.node[0], constants_of(model)
    assert set(by_name) == {node.input[1]}
    np.testing.assert_array_equal(by_name[node.input[1]], np.ones(2))
    np.testing.assert_array_equal(new[node.input[1]], np.round(weight))
    np.testing.assert_array_equal(new[node.input[2]], [3 + 0.25 * 8, -1])
    assert new.keys() == {node.input[1], node.input[2]}, "the old ones are gone"
    onnx.checker.check_model(model)


@pytest.mark.parametrize(
    ("groups", "outputs", "size", "most"),
    [(1, 12, 1, 127), (6, 6, 3, 127), (6, 12, 3, 64), (1, 12, 3, 64), (2, 12, 1, 64)],
)
def test_convolutions_saturate_nowhere(groups: int, outputs: int, size: int, most: int) -> None:
    """Pairs are bounded in products, weights where any could be a pair; a depthwise convolution has none."""
    rng = np.random.default_rng(groups + size)
    weight = rng.standard_normal((outputs, 6 // groups, size, size))
    model = convolution(weight, np.zeros(outputs), groups, 6)
    by_name = round_convolutions(model, list(model.graph.node), rng.standard_normal((4, 6, 8, 8)).astype(np.float32))
    ((name, scale),) = by_name.items()
    levels = constants_of(model)[name].astype(np.float64) / scale.reshape(-1, 1, 1, 1).astype(np.float64)
    whole = np.round(levels)
    assert (np.abs(levels - whole) <= U32 * np.abs(whole)).all()  # one rounding, of the product
    assert 32 < np.abs(whole).max() <= most
    if weight.shape[1] > 1:
        pairs = whole.transpose(0, 2, 3, 1).reshape(-1, 2)
        assert (255 * np.maximum(pairs, 0).sum(axis=1)).max() <= 2**15 - 1
        assert (255 * np.minimum(pairs, 0).sum(axis=1)).min() >= -(2**15)


def test_convolutions_of_one_pixel_are_rounded_as_products() -> None:
    """Channels that go together: rounded together, results are nearer than with the nearest weights of 8 bits."""
    rng = np.random.default_rng(0)
    weight, base = rng.standard_normal((16, 32, 1, 1)), rng.standard_normal((8, 4, 8, 8))
    images = np.einsum("oi,bihw->bohw", rng.standard_normal((32, 4)), base)
    images = (images + 0.1 * rng.standard_normal(images.shape) + 2).astype(np.float32)
    model = convolution(weight, np.zeros(16), 1, 32)
    ((name, _),) = round_convolutions(model, list(model.graph.node), images).items()
    scale = np.abs(weight).max(axis=1, keepdims=True) / 127
    new, nearest = constants_of(model), np.round(weight / scale) * scale

    def error(near: NDArray[Any], bias: NDArray[Any]) -> float:
        lost = np.einsum("oi,bihw->bohw", (near - weight)[:, :, 0, 0], images) + bias.reshape(-1, 1, 1)
        return float(np.square(lost).mean())

    mean = images.mean(axis=(0, 2, 3), dtype=np.float64)
    corrected = ((weight - nearest)[:, :, 0, 0] * mean).sum(axis=1)
    assert error(new[name], new[model.graph.node[0].input[2]]) < 0.5 * error(nearest, corrected)


def test_a_depthwise_convolution_after_the_first_stays_in_32_bits(tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((8, 3, 16, 16)).astype(np.float32)
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU6(), nn.Conv2d(8, 4, 1), nn.ReLU6()
    later = nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(400, 5)
    to_onnx(nn.Sequential(*layers, *later).eval(), (3, 16, 16), tmp_path / "net.onnx")
    assert quantise(tmp_path / "net.onnx", tmp_path / "int8.onnx", images) == 2
    assert count_graph(tmp_path / "int8.onnx").total.macs_int8 == 12 * 12 * 8 * 4 + 10 * 10 * 4 * 9
