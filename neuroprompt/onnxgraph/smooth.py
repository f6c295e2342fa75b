"""Moves the wide channels of activations into the weights behind them, so that 8 bits fit both.

    LN(x) * g + b, then W:   g / s, b / s, and s W   with   s_j = max |x_j|^a / max |W_j|^(1 - a)
    any other x, then W:     x * (1 / s), and s W

The network computes the same: only where a number is large changes. Xiao et al., SmoothQuant, ICML 2023 (arXiv
2211.10438), equation 4; their alpha is 0.5, ours 0.7, because weights are rounded with care (`rounding`). They leave
out what no norm makes, such as GELU, since dividing it costs time; keeping its product in 32 bits costs more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neuroprompt.onnxgraph.prune import drop_unused

ALPHA = 0.7
"""How much of the width goes into the weights."""
LEAST = 1e-5
"""Channels and weights below this are left as they are."""


def smooth(model: onnx.ModelProto, largest: Mapping[str, NDArray[Any]], alpha: float = ALPHA) -> int:
    """Smooth what LayerNorms give, where only products with weights take it; returns how many norms were changed.

    largest: the largest magnitude of each activation by channel, on images.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    changed = 0
    for norm in [node for node in model.graph.node if node.op_type == "LayerNormalization"]:
        name = norm.output[0]
        takers = [node for node in model.graph.node if name in node.input]
        products = [node for node in takers if node.op_type == "MatMul" and node.input[1] in constants]
        if name not in largest or len(norm.input) < 3 or not products or len(products) != len(takers):
            continue
        weights = [numpy_helper.to_array(constants[node.input[1]]) for node in products]
        scale = _scale(largest[name], weights, alpha)
        for place in (1, 2):
            _replace(model, norm, place, numpy_helper.to_array(constants[norm.input[place]]) / scale)
        for node, weight in zip(products, weights, strict=True):
            _replace(model, node, 1, weight * scale[:, None])
        changed += 1
    drop_unused(model.graph)
    return changed


Scaled = Mapping[str, tuple[str, str]]
"""By the name of a product what it took before it was scaled: its activation, and its weight."""


def scale_inputs(model: onnx.ModelProto, largest: Mapping[str, NDArray[Any]], alpha: float = ALPHA) -> Scaled:
    """Divide by s, in a Mul of its own, what products with weights take that no LayerNorm makes.

    largest: as in `smooth`. The old weights stay in the model until `drop_unused`, so that `unscale` can go back.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    norms = {node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"}
    scaled: dict[str, tuple[str, str]] = {}
    for name in largest:
        takers = [node for node in model.graph.node if node.op_type == "MatMul" and node.input[0] == name]
        products = [node for node in takers if node.input[1] in constants]
        if not products or name in norms:
            continue
        weights = [numpy_helper.to_array(constants[node.input[1]]) for node in products]
        scale = _scale(largest[name], weights, alpha)
        factor, result = f"{name}_smooth_factor", f"{name}_smooth"
        model.graph.initializer.append(numpy_helper.from_array(1 / scale, factor))
        place = next(i for i, node in enumerate(model.graph.node) if node.name == products[0].name)
        for node, weight in zip(products, weights, strict=True):
            scaled[node.name] = (name, node.input[1])
            node.input[0] = result
            _replace(model, node, 1, weight * scale[:, None])
        mul = helper.make_node("Mul", [name, factor], [result], name=f"{result}_node")
        model.graph.node.insert(place, mul)
    return scaled


def unscale(model: onnx.ModelProto, scaled: Scaled, names: Collection[str]) -> None:
    """Give the products of these names back what they took before `scale_inputs`, and drop what nobody takes."""
    for node in model.graph.node:
        if node.name in scaled and node.name in names:
            node.input[0], node.input[1] = scaled[node.name]
    used = {name for node in model.graph.node for name in node.input}
    for node in [node for node in model.graph.node if node.op_type == "Mul"]:
        if node.output[0].endswith("_smooth") and node.output[0] not in used:
            model.graph.node.remove(node)
    drop_unused(model.graph)


def _scale(wide: NDArray[Any], weights: list[NDArray[Any]], alpha: float) -> NDArray[np.float32]:
    """s (k) of activations whose largest magnitudes are `wide` (k), and of weights (k, m) that take them."""
    rows = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    high, heavy = (np.maximum(values, LEAST).astype(np.float64) for values in (wide, rows))
    scale: NDArray[np.float32] = (high**alpha / heavy ** (1 - alpha)).astype(np.float32)
    return scale


def _replace(model: onnx.ModelProto, node: onnx.NodeProto, place: int, values: NDArray[Any]) -> None:
    """Give the node a constant of its own there: others may share the old one."""
    name = f"{node.name}_smooth_{place}"
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
    node.input[place] = name
