"""Rounds the weights of convolutions to 8 bits, and moves what that does to the mean into their biases.

    b_o <- b_o + sum_i E[x_i] sum_uv (W - W^)_oiuv

W^ is what 8 bits make of W, and E[x_i] the mean of input channel i on images; what is padded with zeros counts like the
rest (Nagel et al., ICCV 2019, arXiv 1906.04721, section 4.2). A convolution of one pixel is a product of channels: its
weights are rounded together, as those of tokens (`rounding`), on the covariance of channels: biases have the mean.

Processors without VNNI add two neighbours in 16 bits. In a convolution of one pixel they are its channels, of which no
two are too large (`rounding`). In a depthwise one no two are added there (ONNX Runtime's kernel for AVX2 adds in 32
bits). Any other takes 7 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neuroprompt.contracts.deployment import Floats
from neuroprompt.onnxgraph.activations import activations
from neuroprompt.onnxgraph.prune import drop_unused
from neuroprompt.onnxgraph.rounding import MOST, rounded, scales

SAFE = 64
"""The largest magnitude of a weight of which any two may be neighbours."""


def round_convolutions(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], images: Floats, *, reduce_range: bool = True
) -> dict[str, NDArray[np.float32]]:
    """Make the weights of `nodes` in `model` whole multiples of scales, which are returned by the weights' names.

    reduce_range: 7 bits where neighbours could saturate; without it 8 for all but convolutions of one pixel.
    """
    if not nodes:
        return {}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    dense = {node.input[0] for node in nodes if _of_one_pixel(node, constants)}
    means, spreads = _moments(model, list(dict.fromkeys(node.input[0] for node in nodes)), dense, images)
    by_name = {}
    for node in nodes:
        exact = numpy_helper.to_array(constants[node.input[1]]).astype(np.float64)
        groups = _groups(node)
        rows = exact.reshape(len(exact), -1)
        if _of_one_pixel(node, constants):
            scale = scales(rows.T).astype(np.float32)
            whole = rounded(rows.T, spreads[node.input[0]], scale.astype(np.float64)).T.astype(np.float64)
        else:
            most = MOST if _depthwise(node, exact.shape) or not reduce_range else SAFE
            scale = np.maximum(np.abs(rows).max(axis=1) / most, 1e-12).astype(np.float32)
            whole = np.clip(np.round(rows / scale[:, None]), -most, most)
        near = (whole * scale[:, None]).reshape(exact.shape)
        name = f"{node.name}_rounded"
        by_name[name] = scale
        model.graph.initializer.append(numpy_helper.from_array(near.astype(np.float32), name))
        node.input[1] = name
        if len(node.input) > 2:
            error = (exact - near).sum(axis=tuple(range(2, exact.ndim)))  # (outputs, inputs of a group)
            mean = means[node.input[0]].reshape(groups, -1).repeat(len(exact) // groups, axis=0)
            bias = numpy_helper.to_array(constants[node.input[2]]) + (error * mean).sum(axis=1)
            node.input[2] = f"{node.name}_corrected_bias"  # of its own: others may share the old one
            model.graph.initializer.append(numpy_helper.from_array(bias.astype(np.float32), node.input[2]))
    drop_unused(model.graph)
    return by_name


def is_depthwise(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether it is a convolution of every channel by itself."""
    weight = next((tensor for tensor in model.graph.initializer if tensor.name == node.input[1]), None)
    return node.op_type == "Conv" and weight is not None and _depthwise(node, weight.dims)


def _depthwise(node: onnx.NodeProto, shape: Sequence[int]) -> bool:
    """With two results of a channel, ONNX Runtime takes its general products, where pixels are neighbours."""
    return shape[1] == 1 and shape[0] == _groups(node) > 1


def follows(model: onnx.ModelProto, first: onnx.NodeProto, node: onnx.NodeProto) -> bool:
    """Whether `node` takes what `first` gives, as it is or cut off by a Clip or Relu."""
    names = {first.output[0]}
    names |= {cut.output[0] for cut in model.graph.node if cut.op_type in ("Clip", "Relu") and cut.input[0] in names}
    return node.input[0] in names


def _groups(node: onnx.NodeProto) -> int:
    return next((int(helper.get_attribute_value(a)) for a in node.attribute if a.name == "group"), 1)


def _of_one_pixel(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether each result is a product of the channels of one pixel; strides and padding do not matter."""
    return _groups(node) == 1 and all(size == 1 for size in constants[node.input[1]].dims[2:])


def _moments(
    model: onnx.ModelProto, tensors: Sequence[str], dense: set[str], images: Floats
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """The mean of each activation (B, C, ...) by channel; of `dense` the covariances (C, C) as well."""
    sums: dict[str, NDArray[Any]] = {}
    squares: dict[str, NDArray[Any]] = {}
    count = dict.fromkeys(tensors, 0)
    for values in activations(model, tensors, images):
        for name, numbers in values.items():
            rows = np.moveaxis(numbers, 1, -1).reshape(-1, numbers.shape[1])
            count[name] += len(rows)
            sums[name] = sums.get(name, 0.0) + rows.sum(axis=0, dtype=np.float64)
            if name in dense:
                squares[name] = squares.get(name, 0.0) + (rows.T @ rows).astype(np.float64)
    means = {name: total / count[name] for name, total in sums.items()}
    return means, {name: square / count[name] - np.outer(means[name], means[name]) for name, square in squares.items()}
