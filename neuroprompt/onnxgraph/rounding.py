"""Rounds the weights of a product so that what it gives stays right, and not each weight for itself.

    min over whole q_ij of  sum over images |x W - x (s q)|^2   with H = sum over images x^T x

Weights are rounded one input at a time, and those that are not rounded yet take over the error: with the Cholesky
factor U of the inverse of H, row i leaves e = (w_i - s q_i) / U_ii, and every later row j loses U_ij e. Frantar et
al., GPTQ, ICLR 2023 (arXiv 2210.17323), algorithm 1, with inputs by falling power.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

DAMPING = 0.01
"""Share of the mean power that is added to every input's, so that inputs that are always 0 do no harm."""
ROWS = 128
"""Rows after which the error is handed on to all that follow at once."""
REDUCED = 64
"""The largest weight of a reduced range, as ONNX Runtime has it."""


def rounded(weight: NDArray[Any], power: NDArray[Any], scale: NDArray[Any], most: int) -> NDArray[np.int8]:
    """Whole numbers (k, m) in -most..most for `weight` (k, m), by `scale` (m) and `power` (k, k), which is H."""
    k = len(weight)
    order = np.argsort(-power.diagonal(), kind="stable")
    left = weight[order].astype(np.float64)
    damped = power[np.ix_(order, order)].astype(np.float64)
    damped[np.diag_indices(k)] += max(DAMPING * float(damped.diagonal().mean()), 1e-12)
    # inv(H) = U^T U: the Cholesky factor of the inverse, upper.
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    whole = np.zeros_like(left)
    for start in range(0, k, ROWS):
        end = min(start + ROWS, k)
        errors = np.zeros((end - start, left.shape[1]))
        for i in range(start, end):
            whole[i] = np.clip(np.round(left[i] / scale), -most, most)
            errors[i - start] = (left[i] - whole[i] * scale) / upper[i, i]
            left[i + 1 : end] -= np.outer(upper[i, i + 1 : end], errors[i - start])
        left[end:] -= upper[start:end, end:].T @ errors
    result = np.empty((k, left.shape[1]), np.int8)
    result[order] = whole.astype(np.int8)
    return result


def round_weights(
    eight: onnx.ModelProto, weights: Mapping[str, NDArray[Any]], powers: Mapping[str, NDArray[Any]]
) -> int:
    """Round the weights of products in the quantised model `eight` anew; returns how many products those are.

    weights: (k, m) in 32 bits, by the product's name before it was quantised. powers: (k, k), by the same name. Scales
    stay as they are. A weight that several products take is left alone.
    """
    constants = {tensor.name: tensor for tensor in eight.graph.initializer}
    takers = [name for node in eight.graph.node for name in node.input]
    count = 0
    for name, integers, scale in _rounded_weights(eight.graph.node):
        if name not in powers or integers not in constants or takers.count(integers) != 1:
            continue
        old = numpy_helper.to_array(constants[integers])
        most = REDUCED if int(np.abs(old.astype(np.int16)).max()) <= REDUCED else 127
        scales = numpy_helper.to_array(constants[scale]).astype(np.float64)
        new = rounded(weights[name], powers[name], scales, most)
        constants[integers].CopyFrom(numpy_helper.from_array(new, integers))
        count += 1
    return count


def _rounded_weights(nodes: Sequence[onnx.NodeProto]) -> Iterator[tuple[str, str, str]]:
    """The names of each product before it was quantised, of its integers and of their scale."""
    made_by = {output: node for node in nodes for output in node.output}
    for node in nodes:
        if node.op_type == "MatMulInteger":
            yield node.name.removesuffix("_quant"), node.input[1], node.input[1].removesuffix("_quantized") + "_scale"
        elif node.op_type == "MatMul" and node.input[1] in made_by:
            scaled = made_by[node.input[1]]
            if scaled.op_type == "DequantizeLinear":
                yield node.name, scaled.input[0], scaled.input[1]
