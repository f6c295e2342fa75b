"""Moves the wide channels of activations into the weights behind them, so that 8 bits fit both.

    LN(x) * g + b, then W:   g / s, b / s, and s W   with   s_j = max |x_j|^a / max |W_j|^(1 - a)

The network computes the same: only where a number is large changes. Xiao et al., SmoothQuant, ICML 2023 (arXiv
2211.10438), equation 4; their alpha is 0.5, ours 0.7, because weights are rounded with care (`rounding`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

LEAST = 1e-5
"""Channels and weights below this are left as they are."""


def smooth(model: onnx.ModelProto, largest: Mapping[str, NDArray[Any]], alpha: float = 0.7) -> int:
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
        rows = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
        wide, weighty = (np.maximum(values, LEAST).astype(np.float64) for values in (largest[name], rows))
        scale = (wide**alpha / weighty ** (1 - alpha)).astype(np.float32)
        for place in (1, 2):
            _replace(model, norm, place, numpy_helper.to_array(constants[norm.input[place]]) / scale)
        for node, weight in zip(products, weights, strict=True):
            _replace(model, node, 1, weight * scale[:, None])
        changed += 1
    drop_unused(model)
    return changed


def drop_unused(model: onnx.ModelProto) -> None:
    """Drop the constants that no node takes."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _replace(model: onnx.ModelProto, node: onnx.NodeProto, place: int, values: NDArray[Any]) -> None:
    """Give the node a constant of its own there: others may share the old one."""
    name = f"{node.name}_smooth_{place}"
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
    node.input[place] = name
