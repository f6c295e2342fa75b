"""Moves the mean error of rounded weights into the biases of convolutions, so that it does not add up over layers.

    b_o <- b_o + sum_i E[x_i] sum_uv (W - W^)_oiuv

W^ is what 8 bits made of W, and E[x_i] the mean of input channel i on images; what is padded with zeros counts like the
rest. Nagel et al., Data-Free Quantization through Weight Equalization and Bias Correction, ICCV 2019 (arXiv
1906.04721), section 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neuroprompt.onnxgraph.prune import drop_unused


def correct_biases(model: onnx.ModelProto, rounded: onnx.ModelProto, means: Mapping[str, NDArray[Any]]) -> int:
    """Correct the biases of `model`, whose weights `rounded` has in 8 bits; returns how many convolutions that are.

    means: of inputs of convolutions, by channel. One without a bias, or in 32 bits in `rounded`, is left as it is.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = _weights(rounded)
    changed = 0
    for node in model.graph.node:
        if node.op_type != "Conv" or node.name not in weights or len(node.input) < 3 or node.input[0] not in means:
            continue
        bias = numpy_helper.to_array(constants[node.input[2]])
        exact = numpy_helper.to_array(constants[node.input[1]]).astype(np.float64)
        error = (exact - weights[node.name]).sum(axis=tuple(range(2, exact.ndim)))  # (outputs, inputs of a group)
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        mean = means[node.input[0]].reshape(groups, -1).repeat(len(bias) // groups, axis=0)
        name = f"{node.name}_corrected_bias"  # of its own: others may share the old one
        values = (bias + (error * mean).sum(axis=1)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        node.input[2] = name
        changed += 1
    drop_unused(model.graph)
    return changed


def _weights(rounded: onnx.ModelProto) -> dict[str, NDArray[np.float64]]:
    """What the weights of each convolution are worth in 8 bits, by the convolution's name."""
    constants = {tensor.name: tensor for tensor in rounded.graph.initializer}
    made_by = {node.output[0]: node for node in rounded.graph.node if node.op_type == "DequantizeLinear"}
    weights = {}
    for node in rounded.graph.node:
        scaled = made_by.get(node.input[1]) if node.op_type == "Conv" else None
        if scaled is None or scaled.input[0] not in constants:
            continue
        whole, scale, zero = (numpy_helper.to_array(constants[name]).astype(np.float64) for name in scaled.input)
        axis = next((helper.get_attribute_value(a) for a in scaled.attribute if a.name == "axis"), 1)
        shape = [-1 if i == axis else 1 for i in range(whole.ndim)] if scale.size > 1 else []
        weights[node.name] = (whole - zero.reshape(shape)) * scale.reshape(shape)
    return weights
