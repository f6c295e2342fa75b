"""Rewrites the 8-bit products of tokens into ONNX Runtime's own operator, which adds the bias in the same pass.

    (s_x (q_x - z_x)) (s_w (q_w - z_w)) + b  ->  com.microsoft MatMulIntegerToFloat(q_x, q_w, s_x, s_w, z_x, z_w, b)

ONNX Runtime makes the same operator of the portable pattern, DequantizeLinear before MatMul, but leaves the bias an
Add, which reads and writes every result once more (docs/how-to/int8.md has the times).
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper

from neuroprompt.onnxgraph.prune import keep_needed
from neuroprompt.onnxgraph.shapes import BYTEWISE, FUSED_DOMAIN


def join_biases(file: Path) -> int:
    """Rewrite the products of `file` whose bias is a constant vector, in place; returns how many that are."""
    model = onnx.load(str(file))
    graph = model.graph
    vectors = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 1}
    made_by = {name: node for node in graph.node for name in node.output}
    takers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    outputs = {value.name for value in graph.output}
    by_sum: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        scaled = [made_by.get(name) for name in node.input]
        behind, result = takers.get(node.output[0], []), node.output[0]
        if node.op_type != "MatMul" or len(behind) != 1 or behind[0].op_type != "Add" or result in outputs:
            continue
        bias = next((name for name in behind[0].input if name in vectors), None)
        parts = [maker for maker in scaled if maker is not None and maker.op_type == "DequantizeLinear"]
        if bias is None or len(parts) != 2 or any(len(part.input) != 3 for part in parts):
            continue
        (x, s_x, z_x), (w, s_w, z_w) = (part.input for part in parts)
        joined = [x, w, s_x, s_w, z_x, z_w, bias]
        (total,) = behind[0].output
        by_sum[total] = helper.make_node(BYTEWISE, joined, [total], name=node.name, domain=FUSED_DOMAIN)
    if not by_sum:
        return 0
    keep_needed(graph, [by_sum.get(node.output[0], node) for node in graph.node])
    if all(entry.domain != FUSED_DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(FUSED_DOMAIN, 1))
    onnx.save(model, str(file))
    return len(by_sum)
