"""Counts which of an ONNX file's multiply-accumulates have two factors that are not 0, on real images."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import BadBundle, BadSetting, Unsupported
from neuroprompt.onnxgraph.external import check_external

Array = NDArray[Any]
COUNTED = ("MatMul", "Gemm", "Conv")


@dataclass(frozen=True)
class Effective:
    """Means over images: effective products with numbers (macs), with -1, 0 and 1 alone (acs), and all of them.

    NeuroBench's Effective_MACs, Effective_ACs and Dense, attention products and functional calls included.
    """

    macs: float
    acs: float
    dense: float


def effective(file: Path | str, images: Floats) -> Effective:
    """Run `file` on images (B, 3, H, W) one by one and look at both factors of every product.

    A product counts if its input and its weight are not 0; those of an operator whose input holds -1, 0 and 1 alone
    are additions. In an attention product the second factor is in the weight's place. Raises BadBundle, BadSetting,
    and Unsupported where a product is none of MatMul, Gemm, Conv.
    """
    if not len(images):
        raise BadSetting("no images", "at least one")
    try:
        check_external(Path(file))
        model = onnx.load(str(file))
    except BadBundle:
        raise
    except Exception as error:  # onnx raises protobuf's and its own
        raise BadBundle(f"{file} cannot be read", "an ONNX file", "export it again") from error
    nodes = [node for node in model.graph.node if _multiplies(node.op_type)]
    other = sorted({node.op_type for node in nodes} - set(COUNTED))
    if other:
        raise Unsupported(f"{', '.join(other)} in {file}", f"products that are one of: {', '.join(COUNTED)}")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    factors = list(dict.fromkeys(name for node in nodes for name in node.input[:2] if name not in constants))
    first = model.graph.input[0].name
    wanted = [name for name in factors if name != first]
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted if name not in outputs)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # every tensor keeps its name
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    macs = acs = dense = 0
    for image in np.asarray(images, np.float32):
        values = dict(zip(wanted, session.run(wanted, {first: image[None]}), strict=True)) if wanted else {}
        values |= constants | {first: image[None]}
        for node in nodes:
            a, b = (values[name] for name in node.input[:2])
            attributes = {x.name: helper.get_attribute_value(x) for x in node.attribute}
            done, every = _products(node.op_type, a, b, attributes)
            binary = bool(np.isin(a, (-1, 0, 1)).all())
            macs, acs, dense = macs + done * (not binary), acs + done * binary, dense + every
    return Effective(macs / len(images), acs / len(images), dense / len(images))


def _multiplies(kind: str) -> bool:
    return any(word in kind for word in ("MatMul", "Gemm", "Conv", "Attention", "Einsum", "LSTM", "GRU", "RNN"))


def _products(kind: str, a: Array, b: Array, attributes: dict[str, Any]) -> tuple[int, int]:
    """(products of two factors that are not 0, all products)."""
    there, weights = a != 0, b != 0
    if kind == "Conv":
        some = _convolved(there, weights, attributes)
        return some, _convolved(np.ones_like(there), np.ones_like(weights), attributes)
    if kind == "Gemm":
        there = there.T if attributes.get("transA") else there
        weights = weights.T if attributes.get("transB") else weights
    rows, columns = there.sum(axis=-2, dtype=np.int64), weights.sum(axis=-1, dtype=np.int64)  # both by k
    batch = np.broadcast_shapes(rows.shape[:-1], columns.shape[:-1])
    every = prod(batch) * there.shape[-2] * there.shape[-1] * weights.shape[-1]
    return int((rows * columns).sum()), int(every)


def _convolved(there: Array, weights: Array, attributes: dict[str, Any]) -> int:
    """How often an input that is not 0 meets a weight that is not 0, padding left out.

    sum over taps k and input channels c of (inputs of c that tap k sees and are not 0) x (weights of c and k not 0)
    """
    spatial = weights.ndim - 2
    pads = attributes.get("pads", [0] * 2 * spatial)
    strides, dilations = (attributes.get(key, [1] * spatial) for key in ("strides", "dilations"))
    groups, channels = attributes.get("group", 1), there.shape[1]
    around = [(0, 0), (0, 0), *((pads[i], pads[spatial + i]) for i in range(spatial))]
    seen = np.pad(there, around)
    kernel, sides = weights.shape[2:], seen.shape[2:]
    outputs = [
        (side - dilation * (taps - 1) - 1) // stride + 1
        for side, taps, stride, dilation in zip(sides, kernel, strides, dilations, strict=True)
    ]
    # Weights that an input channel meets, summed over the outputs of its group: (channels, *kernel).
    met = weights.reshape(groups, -1, *weights.shape[1:]).sum(axis=1, dtype=np.int64).reshape(channels, *kernel)
    total = 0
    for tap in np.ndindex(*kernel):
        window = tuple(
            slice(k * dilation, k * dilation + (count - 1) * stride + 1, stride)
            for k, dilation, stride, count in zip(tap, dilations, strides, outputs, strict=True)
        )
        some = seen[(slice(None), slice(None), *window)].sum(axis=(0, *range(2, 2 + spatial)), dtype=np.int64)
        total += int((some * met[(slice(None), *tap)]).sum())
    return total
