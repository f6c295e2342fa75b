"""Finds the few products whose activations 8 bits hurt most, measured on images, so that they stay in 32 bits.

    e_i = rms(logits with activation i in 8 bits - logits) / std(logits);   together about sqrt(sum of e_i^2)

Errors of rounding are nearly independent, so squares add up. Those products stay that save the most of that sum for
the fewest weights, until it is small enough or too many weights stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neuroprompt.contracts.deployment import Floats
from neuroprompt.progress import SILENT, Progress

ENOUGH = 0.03
"""The error that all activations in 8 bits may make together."""
MOST = 0.25
"""The largest share of weights that stays in 32 bits."""
IMAGES = 16
"""Images on which errors are measured."""


def sensitive(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    ranges: Mapping[str, tuple[float, float]],
    images: Floats,
    progress: Progress = SILENT,
) -> frozenset[str]:
    """The names of those of `nodes` (products of tokens and weights) that should stay in 32 bits.

    ranges: of the activations that they take. Products that take the same activation stay together.
    """
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    weights: dict[str, int] = {}
    for node in nodes:
        weights[node.input[0]] = weights.get(node.input[0], 0) + sizes[node.input[1]]
    few = images[:: max(1, len(images) // IMAGES)][:IMAGES]
    exact = _logits(model, few)
    spread = float(exact.std()) or 1.0
    squares = {}
    for name in progress.track(list(weights), "sensitivity to 8 bits"):
        near = _logits(_in_eight_bits(model, nodes, name, *ranges[name]), few)
        squares[name] = float(np.square((near - exact) / spread).mean())
    left, stay, room = sum(squares.values()), set[str](), MOST * sum(weights.values())
    for name in sorted(weights, key=lambda name: -squares[name] / weights[name]):
        if left <= ENOUGH**2:
            break
        if weights[name] <= room:
            stay.add(name)
            room -= weights[name]
            left -= squares[name]
    return frozenset(node.name for node in nodes if node.input[0] in stay)


def _in_eight_bits(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], name: str, low: float, high: float
) -> onnx.ModelProto:
    """The model with that one activation rounded to 8 bits where `nodes` take it."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    ours, scale = {node.name for node in nodes}, np.float32(max((high - low) / 255, 1e-12))
    zero = np.uint8(np.clip(np.round(-low / scale), 0, 255))
    place = next(i for i, node in enumerate(twin.graph.node) if name in node.input and node.name in ours)
    for node in twin.graph.node:
        if node.name in ours and node.input[0] == name:
            node.input[0] = "sensitive_rounded"
    for value, end in ((np.array(scale), "scale"), (np.array(zero), "zero")):
        twin.graph.initializer.append(numpy_helper.from_array(value, f"sensitive_{end}"))
    ends = ["sensitive_scale", "sensitive_zero"]
    twin.graph.node.insert(place, helper.make_node("QuantizeLinear", [name, *ends], ["sensitive_whole"]))
    back = helper.make_node("DequantizeLinear", ["sensitive_whole", *ends], ["sensitive_rounded"])
    twin.graph.node.insert(place + 1, back)
    return twin


def _logits(model: onnx.ModelProto, images: Floats) -> NDArray[Any]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name, whole = session.get_inputs()[0].name, np.ascontiguousarray(images, np.float32)
    return np.concatenate([session.run(None, {name: whole[i : i + 4]})[0] for i in range(0, len(whole), 4)])
