"""Rounds the weights of a product so that what it gives stays right, and not each weight for itself.

    min over whole q_ij of  sum over images |x W - x (s q)|^2   with H = sum over images x^T x

Weights are rounded one input at a time, and those that are not rounded yet take over the error: with the Cholesky
factor U of the inverse of H, row i leaves e = (w_i - s q_i) / U_ii, and every later row j loses U_ij e. Frantar et
al., GPTQ, ICLR 2023 (arXiv 2210.17323), algorithm 1, with inputs by falling power.

Without VNNI a processor multiplies by unsigned 8 bits and adds two neighbours in 16 bits, which saturate:

    x_2i q_2i,j + x_2i+1 q_2i+1,j in -32768..32767 for all x in 0..255   if |q_2i,j + q_2i+1,j| <= 128, of equal signs

So the scale of a column is the least at which no two neighbours do, which is about 0.64 of that of weights with 7 bits,
the usual cure; and the file answers alike on every processor.
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
MOST, PAIR = 127, 128
"""The largest magnitude of a weight, and of two neighbours of one sign together."""


def rounded(weight: NDArray[Any], power: NDArray[Any], scale: NDArray[Any]) -> NDArray[np.int8]:
    """Whole numbers (k, m) for `weight` (k, m), by `scale` (m) and `power` (k, k), which is H."""
    k = len(weight)
    order = np.argsort(-power.diagonal(), kind="stable")
    left = weight[order].astype(np.float64)
    damped = power[np.ix_(order, order)].astype(np.float64)
    damped[np.diag_indices(k)] += max(DAMPING * float(damped.diagonal().mean()), 1e-12)
    # inv(H) = U^T U: the Cholesky factor of the inverse, upper.
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    whole = np.zeros((k + k % 2, left.shape[1]))  # in the order of inputs; 0 where it is not rounded yet
    for start in range(0, k, ROWS):
        end = min(start + ROWS, k)
        errors = np.zeros((end - start, left.shape[1]))
        for i in range(start, end):
            row, beside = whole[order[i]], whole[order[i] ^ 1]
            low = -np.minimum(MOST, PAIR + np.minimum(beside, 0))
            high = np.minimum(MOST, PAIR - np.maximum(beside, 0))
            row[:] = np.clip(np.round(left[i] / scale), low, high)
            errors[i - start] = (left[i] - row * scale) / upper[i, i]
            left[i + 1 : end] -= np.outer(upper[i, i + 1 : end], errors[i - start])
        left[end:] -= upper[start:end, end:].T @ errors
    return whole[:k].astype(np.int8)


def scales(weight: NDArray[Any]) -> NDArray[np.float32]:
    """The scale of each column of `weight` (k, m): the least at which no weight or pair of neighbours is too large."""
    k, m = weight.shape
    pairs = np.concatenate([weight, np.zeros((k % 2, m), weight.dtype)]).reshape(-1, 2, m)
    together = np.maximum(np.maximum(pairs, 0).sum(axis=1), np.maximum(-pairs, 0).sum(axis=1)).max(axis=0)
    scale: NDArray[np.float32] = np.maximum(np.abs(weight).max(axis=0) / MOST, together / PAIR).astype(np.float32)
    return np.maximum(scale, np.float32(1e-12))


def round_weights(
    eight: onnx.ModelProto, weights: Mapping[str, NDArray[Any]], powers: Mapping[str, NDArray[Any]]
) -> int:
    """Round the weights of products in the quantised model `eight` anew; returns how many products those are.

    weights: (k, m) in 32 bits, by the product's name before it was quantised. powers: (k, k), by the same name. Scales
    become those of 8 bits. A weight that several products take is left alone.
    """
    constants = {tensor.name: tensor for tensor in eight.graph.initializer}
    takers = [name for node in eight.graph.node for name in node.input]
    count = 0
    for name, integers, scale in _rounded_weights(eight.graph.node):
        if name not in powers or integers not in constants or takers.count(integers) != 1:
            continue
        by_column = scales(weights[name])
        new = rounded(weights[name], powers[name], by_column.astype(np.float64))
        constants[integers].CopyFrom(numpy_helper.from_array(new, integers))
        constants[scale].CopyFrom(numpy_helper.from_array(by_column, scale))
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
