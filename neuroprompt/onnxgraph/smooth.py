"""Moves the wide channels of activations into the weights behind them, so that 8 bits fit both.

    LN(x) * g + b, then W:   g / s, b / s, and s W   with   s_j = max |x_j|^a / max |W_j|^(1 - a)
    softmax V, then W:       V / s, and s W; also the constant values of a prompt
    any other x, then W:     x * (1 / s), and s W

The network computes the same: only where a number is large changes. Xiao et al., SmoothQuant, ICML 2023 (arXiv
2211.10438), equation 4; their alpha is 0.5, ours 0.7 behind norms, because weights are rounded with care (`rounding`).
They leave out what no norm makes, such as GELU, since dividing costs time; keeping its product in 32 bits costs more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neuroprompt.onnxgraph.attention import Graph, match_attention
from neuroprompt.onnxgraph.prune import drop_unused
from neuroprompt.onnxgraph.rotate import works_on_channels

ALPHA, ELSEWHERE = 0.7, 0.5
"""How much of the width goes into the weights: behind norms, and elsewhere."""
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
        takers = _readers(model, name)
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


def _readers(model: onnx.ModelProto, name: str) -> list[onnx.NodeProto]:
    """The nodes that take tokens `name`, or some of those tokens, which a Slice chooses."""
    takers = [node for node in model.graph.node if name in node.input]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    slices = [node for node in takers if node.op_type == "Slice" and not works_on_channels(node, constants)]
    return [node for node in takers if node not in slices] + [
        reader for node in slices for reader in _readers(model, node.output[0])
    ]


def scale_values(model: onnx.ModelProto, largest: Mapping[str, NDArray[Any]], alpha: float = ELSEWHERE) -> set[str]:
    """Smooth what attentions give, by the products that make their values; returns the names of what was smoothed.

    largest: as of `smooth`; what it does not hold is left as it is.
    """
    graph = Graph(model.graph)
    smoothed: set[str] = set()
    for softmax in [node for node in model.graph.node if node.op_type == "Softmax"]:
        attention = match_attention(graph, softmax)
        if attention is None or attention.result not in largest:
            continue
        values = attention.values
        add = graph.maker(values.name, "Add")
        places = [] if add is None else [i for i, name in enumerate(add.input) if name in graph.constants]
        inner = values.name if add is None or len(places) != 1 else add.input[1 - places[0]]
        product, takers = graph.maker(inner, "MatMul"), graph.takers(attention.result)
        if product is None or any(node.op_type != "MatMul" for node in takers):
            continue
        weights = [graph.constant(node.input[1]) for node in (product, *takers)]
        if any(weight is None or weight.ndim != 2 for weight in weights) or not takers:
            continue
        if any(len(graph.takers(name)) != 1 for name in {inner, values.name}):
            continue
        first, *behind = [weight for weight in weights if weight is not None]
        scale = _scale(largest[attention.result], behind, alpha)
        _replace(model, product, 1, first / scale)
        if add is not None and places:
            _replace(model, add, places[0], numpy_helper.to_array(graph.constants[add.input[places[0]]]) / scale)
        if values.expand is not None:
            rows = numpy_helper.to_array(graph.constants[values.expand.input[0]])  # (1, h, N, d)
            _replace(model, values.expand, 0, rows / scale.reshape(1, rows.shape[1], 1, -1))
        for node, weight in zip(takers, behind, strict=True):
            _replace(model, node, 1, weight * scale[:, None])
        smoothed.add(attention.result)
    drop_unused(model.graph)
    return smoothed


def scale_inputs(model: onnx.ModelProto, largest: Mapping[str, NDArray[Any]], alpha: float = ELSEWHERE) -> Scaled:
    """Divide by s, in a Mul of its own, what products with weights take that no LayerNorm makes.

    largest: as in `smooth`. The old weights stay in the model until `drop_unused`, so that `unscale` can go back.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    norms: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "LayerNormalization" or (node.op_type == "Slice" and node.input[0] in norms):
            norms.add(node.output[0])
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
    name, taken = f"{node.name}_smooth_{place}", {tensor.name for tensor in model.graph.initializer}
    while name in taken:
        name += "_again"
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
    node.input[place] = name
