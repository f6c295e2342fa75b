"""Finds the few products whose activations 8 bits hurt most, measured on images, so that they stay in 32 bits.

    e_i = rms(logits with the activation of product i in 8 bits - logits) / std(logits);   together sqrt(sum of e_i^2)

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
MOST = 0.2
"""The largest share of weights that stays in 32 bits."""
IMAGES, BATCH = 16, 4
"""Images on which errors are measured, and how many of them at a time."""
ROUNDED = "sensitive_rounded"
"""Prefix of what is added to the graph."""


def sensitive(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    ranges: Mapping[str, tuple[float, float]],
    images: Floats,
    progress: Progress = SILENT,
) -> frozenset[str]:
    """The names of those of `nodes` (products of tokens and weights) that should stay in 32 bits.

    ranges: of the activations that they take. Of products that take the same activation some may stay.
    """
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    weights = {node.name: sizes[node.input[1]] for node in nodes}
    squares = _squares(model, nodes, ranges, images[:: max(1, len(images) // IMAGES)][:IMAGES], progress)
    left, stay, room = sum(squares.values()), set[str](), MOST * sum(weights.values())
    for name in sorted(weights, key=lambda name: -squares[name] / weights[name]):
        if left <= ENOUGH**2:
            break
        if weights[name] <= room:
            stay.add(name)
            room -= weights[name]
            left -= squares[name]
    return frozenset(stay)


def _squares(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    ranges: Mapping[str, tuple[float, float]],
    images: Floats,
    progress: Progress,
) -> dict[str, float]:
    """e^2 of each product by its name."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # round, and go on in 32 bits
    twin = _switched(model, nodes, ranges)
    session = ort.InferenceSession(twin.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name, whole = model.graph.input[0].name, np.ascontiguousarray(images, np.float32)

    def logits(rounded: NDArray[np.bool_]) -> NDArray[Any]:
        parts = [whole[i : i + BATCH] for i in range(0, len(whole), BATCH)]
        return np.concatenate([session.run(None, {name: part, ROUNDED: rounded})[0] for part in parts])

    exact = logits(np.zeros(len(nodes), bool))
    spread = float(exact.std()) or 1.0
    alone = progress.track(list(np.eye(len(nodes), dtype=bool)), "sensitivity to 8 bits")
    return {
        node.name: float(np.square((logits(only) - exact) / spread).mean())
        for node, only in zip(nodes, alone, strict=True)
    }


def _switched(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], ranges: Mapping[str, tuple[float, float]]
) -> onnx.ModelProto:
    """The model with one more input: for each of `nodes` whether what it takes is rounded to 8 bits."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    place = {node.name: i for i, node in enumerate(nodes)}
    twin.graph.input.append(helper.make_tensor_value_info(ROUNDED, onnx.TensorProto.BOOL, [len(nodes)]))
    new: list[onnx.NodeProto] = []
    rounded: dict[str, str] = {}

    def constant(end: str, value: NDArray[Any]) -> str:
        twin.graph.initializer.append(numpy_helper.from_array(value, f"{ROUNDED}_{end}"))
        return f"{ROUNDED}_{end}"

    for node in twin.graph.node:
        if node.name in place:
            name, i = node.input[0], place[node.name]
            if name not in rounded:
                low, high = ranges[name]
                scale = np.float32(max((high - low) / 255, 1e-12))
                zero = np.uint8(np.clip(np.round(-low / scale), 0, 255))
                ends = [constant(f"{i}_scale", np.array(scale)), constant(f"{i}_zero", np.array(zero))]
                integers, rounded[name] = f"{ROUNDED}_{i}_whole", f"{ROUNDED}_{i}_back"
                new.append(helper.make_node("QuantizeLinear", [name, *ends], [integers]))
                new.append(helper.make_node("DequantizeLinear", [integers, *ends], [rounded[name]]))
            switch, taken = f"{ROUNDED}_{i}_switch", f"{ROUNDED}_{i}_taken"
            index = constant(f"{i}_index", np.array(i, np.int64))
            new.append(helper.make_node("Gather", [ROUNDED, index], [switch]))
            new.append(helper.make_node("Where", [switch, rounded[name], name], [taken]))
            node.input[0] = taken
        new.append(node)
    nodes_of = [onnx.NodeProto.FromString(node.SerializeToString()) for node in new]  # theirs go with the old list
    del twin.graph.node[:]
    twin.graph.node.extend(nodes_of)
    return twin
