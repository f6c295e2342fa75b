"""Files in fewer bits: what is quantised, how close it stays, and what is counted of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from neuroprompt.contracts.deployment import ImageTarget, Prices
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.energy.estimate import estimate
from neuroprompt.errors import ParityError, Unsupported
from neuroprompt.onnxgraph import quantise as quantising
from neuroprompt.onnxgraph.bytewise import join_biases
from neuroprompt.onnxgraph.counts import count_graph, integer_products
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.half import halve
from neuroprompt.onnxgraph.prune import drop_unused
from neuroprompt.onnxgraph.quantise import quantise, quantise_dynamic
from neuroprompt.onnxgraph.rounding import rounded, scales
from neuroprompt.onnxgraph.sensitive import sensitive
from neuroprompt.onnxgraph.smooth import scale_inputs, smooth, unscale
from neuroprompt.training.backbone import EMBEDDED, load_backbone

DEPTH, TOKENS = 2, 4


@pytest.fixture(scope="module")
def images() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((8, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks with constant keys and values of prompts, and a head."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("whole") / "model.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EMBEDDED, "depth", DEPTH)
        backbone = load_backbone(BackboneSpec("embedded", image_size=16, random=True))
        baked = backbone.baked(torch.randn(DEPTH, TOKENS, 128))
    to_onnx(nn.Sequential(baked, nn.Linear(128, 10)).eval(), (3, 16, 16), file)
    return file


def logits(file: Path, images: NDArray[np.float32]) -> NDArray[Any]:
    return ImageTarget.named("onnxruntime").logits(file, images)


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_weights_of_every_block_take_8_bits_and_nothing_else(
    dynamic: bool, whole: Path, images: NDArray[np.float32], tmp_path: Path
) -> None:
    """Six products a block: queries, keys, values, projection and the MLP's two."""
    out = tmp_path / "int8.onnx"
    count = quantise_dynamic(whole, out) if dynamic else quantise(whole, out, images)
    assert count == 6 * DEPTH
    before, after = count_graph(whole).total, count_graph(out).total
    assert after.macs == before.macs
    n, width = 5, 128
    blocks = (n * 12 + (2 * n + 10)) * width * width  # all tokens; in the last block keys and values alone of patches
    assert after.macs_int8 == blocks
    assert before.macs_int8 == 0
    # The blocks' weights are a byte each and no longer four; what is left is in 32 bits.
    saved, bytes_saved = count_graph(whole).footprint - count_graph(out).footprint, 3 * 24 * width**2
    assert 0.95 * bytes_saved < saved < bytes_saved, "all but the scales"
    exact, near = logits(whole, images), logits(out, images)
    assert np.abs(near - exact).max() > 0
    assert np.abs(near - exact).mean() < 0.05 * np.ptp(exact)


def test_8_bit_products_have_a_price_of_their_own(whole: Path, images: NDArray[np.float32], tmp_path: Path) -> None:
    quantise(whole, tmp_path / "int8.onnx", images)
    counted = count_graph(tmp_path / "int8.onnx").total
    terms = {term.event: term.count for term in estimate(counted, Prices.named("horowitz-45nm-fp32")).terms}
    assert terms == {"macs": counted.macs - counted.macs_int8, "macs_int8": counted.macs_int8}


def test_a_bias_joins_the_8_bit_product_before_it(whole: Path, images: NDArray[np.float32], tmp_path: Path) -> None:
    """The same integers; only the order of the last sums differs."""
    portable, joined = tmp_path / "portable.onnx", tmp_path / "joined.onnx"
    quantise(whole, portable, images)
    shutil.copy(portable, joined)
    assert join_biases(joined) == 4 * DEPTH, "queries, the projection and the MLP's two; keys and values have none"
    assert operators(joined)["MatMulIntegerToFloat"] == 4 * DEPTH
    before, after = count_graph(portable), count_graph(joined)
    assert (after.total.macs, after.total.macs_int8) == (before.total.macs, before.total.macs_int8)
    assert before.total.macs_int8 > 0
    assert after.footprint == before.footprint
    exact, near = logits(portable, images), logits(joined, images)
    step = np.abs(logits(whole, images) - exact).max()  # what 8 bits cost
    assert np.abs(near - exact).max() < step / 10
    assert join_biases(joined) == 0


def test_a_product_that_was_left_out_is_an_error(
    whole: Path, images: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantising, "integer_products", lambda graph: set(list(integer_products(graph))[1:]))
    with pytest.raises(ParityError, match=f"{6 * DEPTH - 1} products .* expected {6 * DEPTH}"):
        quantise(whole, tmp_path / "int8.onnx", images)


def test_convolutions_but_for_the_first(tmp_path: Path, images: NDArray[np.float32]) -> None:
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten()
    torch.manual_seed(0)
    to_onnx(nn.Sequential(*layers, nn.Linear(800, 5)).eval(), (3, 16, 16), tmp_path / "net.onnx")
    assert quantise(tmp_path / "net.onnx", tmp_path / "int8.onnx", images) == 2
    counted = count_graph(tmp_path / "int8.onnx").total
    assert counted.macs_int8 == (12 * 12 + 10 * 10) * 8 * 8 * 9
    exact, near = logits(tmp_path / "net.onnx", images), logits(tmp_path / "int8.onnx", images)
    assert 0 < np.abs(near - exact).max() < 0.1 * np.ptp(exact)
    with pytest.raises(Unsupported, match="without products of tokens"):
        quantise_dynamic(tmp_path / "net.onnx", tmp_path / "dynamic.onnx")


def test_levels_are_not_spent_on_what_is_cut_off(tmp_path: Path, images: NDArray[np.float32]) -> None:
    """Of a convolution before ReLU6 only 0 to 6 reaches anybody, however far its own numbers go."""
    torch.manual_seed(0)
    convs = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
    with torch.no_grad():
        for conv in convs:
            conv.weight.mul_(30)
    layers = [part for conv in convs for part in (conv, nn.ReLU6())]
    to_onnx(nn.Sequential(*layers, nn.Flatten(), nn.Linear(800, 5)).eval(), (3, 16, 16), tmp_path / "net.onnx")
    assert quantise(tmp_path / "net.onnx", tmp_path / "int8.onnx", images) == 2
    model = onnx.load(str(tmp_path / "int8.onnx"))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    scales = [float(constants[node.input[1]]) for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert len(scales) >= 3, scales
    assert max(scales) <= np.float32(6) / np.float32(255)


def test_nothing_to_quantise(tmp_path: Path, images: NDArray[np.float32]) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 14 * 14, 5)).eval()
    to_onnx(net, (3, 16, 16), tmp_path / "net.onnx")
    with pytest.raises(Unsupported, match="without products to quantise"):
        quantise(tmp_path / "net.onnx", tmp_path / "int8.onnx", images)


def test_smoothing_moves_a_wide_channel_and_changes_no_result() -> None:
    """Powers of two and of four, so that roots, quotients and products are exact."""
    gain, shift = np.array([4, 1, 1, 1], np.float32), np.zeros(4, np.float32)
    weight = np.array([[0.25], [1], [1], [1]], np.float32)
    constants = {"g": gain, "b": shift, "w": weight}
    nodes = [
        helper.make_node("LayerNormalization", ["x", "g", "b"], ["y"], name="norm"),
        helper.make_node("MatMul", ["y", "w"], ["z"], name="product"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["batch", 4])],
        [value("z", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph)
    assert smooth(model, {"y": np.array([4, 1, 1, 1], np.float32)}, alpha=0.5) == 1
    new = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    norm, product = model.graph.node
    scale = np.array([4, 1, 1, 1], np.float32)  # sqrt(4 / 0.25)
    np.testing.assert_array_equal(new[norm.input[1]], gain / scale)
    np.testing.assert_array_equal(new[product.input[1]], weight * scale[:, None])
    assert new.keys() == {norm.input[1], norm.input[2], product.input[1]}
    onnx.checker.check_model(model)


def test_what_no_norm_makes_is_divided_by_a_constant_and_can_be_given_back() -> None:
    """Powers of two and of four, as above; without its scale the model is the old one."""
    weight = np.array([[0.25], [1], [1], [1]], np.float32)
    value = helper.make_tensor_value_info
    ends = [value("x", TensorProto.FLOAT, ["n", 4])], [value("z", TensorProto.FLOAT, ["n", 1])]
    nodes = [
        helper.make_node("Relu", ["x"], ["y"], name="relu"),
        helper.make_node("MatMul", ["y", "w"], ["z"], name="product"),
    ]
    graph = helper.make_graph(nodes, "g", *ends, [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph)
    usual = model.SerializeToString(deterministic=True)
    wide = {"y": np.array([4, 1, 1, 1], np.float32)}
    scaled = scale_inputs(model, wide, alpha=0.5)
    assert set(scaled) == {"product"}
    other = onnx.ModelProto()
    other.CopyFrom(model)
    drop_unused(model.graph)
    onnx.checker.check_model(model, full_check=True)
    new = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    _, mul, product = model.graph.node
    np.testing.assert_array_equal(new[mul.input[1]], [0.25, 1, 1, 1])
    np.testing.assert_array_equal(new[product.input[1]], weight * np.array([[4], [1], [1], [1]], np.float32))
    unscale(other, scaled, {"product"})
    assert other.SerializeToString(deterministic=True) == usual


def test_weights_of_inputs_that_go_apart_are_rounded_to_the_nearest() -> None:
    weight = np.random.default_rng(0).uniform(-64, 64, (200, 3))
    whole = rounded(weight, np.diag(np.arange(1.0, 201.0)), np.ones(3))
    np.testing.assert_array_equal(whole, np.round(weight))


def test_of_inputs_that_go_together_the_sum_of_weights_is_rounded() -> None:
    """Nearest would make 0 of each of 0.4, 0.4 and 0.4, and 0 of what the product gives; 1 is nearer to 1.2."""
    whole = rounded(np.full((3, 1), 0.4), np.ones((3, 3)), np.ones(1))
    assert int(whole.sum()) == 1


@pytest.mark.parametrize("k", [1, 2, 7, 300])
def test_no_two_neighbours_saturate_16_bits(k: int) -> None:
    """x86 without VNNI adds the products of two neighbours in 16 bits, whatever 8 bits the activations have."""
    rng = np.random.default_rng(k)
    weight, inputs = rng.standard_normal((k, 40)), rng.standard_normal((500, k))
    scale = scales(weight)
    for by in (scale, scale / 2):  # with half the scale many would saturate, and are cut
        whole = rounded(weight, inputs.T @ inputs, by.astype(np.float64)).astype(np.int64)
        assert np.abs(whole).max() <= 127
        pairs = np.concatenate([whole, np.zeros((k % 2, 40), np.int64)]).reshape(-1, 2, 40)
        assert (255 * np.maximum(pairs, 0).sum(axis=1)).max() <= 2**15 - 1
        assert (255 * np.minimum(pairs, 0).sum(axis=1)).min() >= -(2**15)
    # A column whose two largest neighbours are of one sign needs the larger scale, and no column a larger than 7 bits.
    assert (scale >= np.abs(weight).max(axis=0) / 127 * (1 - 2**-23)).all()
    assert (scale <= np.abs(weight).max(axis=0) / 64 * (1 + 2**-23)).all()


def chained(most: int) -> tuple[onnx.ModelProto, list[onnx.NodeProto]]:
    """Two products in a row, of 4 x 4 and of 4 x `most` weights."""
    rng = np.random.default_rng(0)
    constants = {"v": rng.standard_normal((4, 4)), "w": rng.standard_normal((4, most))}
    nodes = [helper.make_node("MatMul", list(ends), [out], name=out) for ends, out in (("xv", "y"), ("yw", "z"))]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["n", 4])],
        [value("z", TensorProto.FLOAT, ["n", most])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model, list(model.graph.node)


def test_what_8_bits_hurt_most_stays_in_32() -> None:
    model, nodes = chained(64)
    images = np.random.default_rng(1).uniform(-1, 1, (8, 4)).astype(np.float32)
    fine, coarse = (-4.0, 4.0), (-1000.0, 1000.0)
    assert sensitive(model, nodes, {"x": fine, "y": fine}, images) == frozenset()
    assert sensitive(model, nodes, {"x": coarse, "y": fine}, images) == {"y"}
    assert "z" not in sensitive(model, nodes, {"x": fine, "y": coarse}, images), "more than a fifth of the weights"


def test_16_bits(whole: Path, images: NDArray[np.float32], tmp_path: Path) -> None:
    assert halve(whole, tmp_path / "half.onnx") > 6 * DEPTH
    assert (tmp_path / "half.onnx").stat().st_size < 0.6 * whole.stat().st_size
    exact, near = logits(whole, images), logits(tmp_path / "half.onnx", images)
    assert near.dtype == np.float32
    assert 0 < np.abs(near - exact).max() < 0.02 * np.ptp(exact)
