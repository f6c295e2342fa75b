"""Rewrites the attention of an ONNX file into ONNX Runtime's own operator, which keeps no matrix of scores in memory.

    softmax(s q k) v  ->  com.microsoft MultiHeadAttention(Q, K, V)

q (B, h, n, d), k (B, h, d, m), v (B, h, m, d) are what the portable file makes of Q (B, n, h d), K and V (B, m, h d) by
a Reshape and a Transpose; the constant keys and values of prompt tokens are joined behind them. The fused file joins
them to K and V before the heads are split: whole rows are copied, and nothing is transposed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from neuroprompt.errors import BadBundle
from neuroprompt.onnxgraph.attention import Attention, Graph, Rows, match_attention
from neuroprompt.onnxgraph.prune import keep_needed
from neuroprompt.onnxgraph.shapes import FUSED, FUSED_DOMAIN

SHARED_BYTES = 4096
"""Constants of fewer bytes are written again, rather than shared: the sizes of shapes among them are read often."""


def fuse(file: Path, out: Path, *, share: bool = True) -> int:
    """Write `file` with fused attention to `out`; returns how many attentions were fused, and writes nothing for 0.

    share: weights of `out` that stand in `file`, too, are external data in `file`, so that none is written twice and
    both belong in one folder. Raises BadBundle where `file` is no ONNX file.
    """
    try:
        model = onnx.load(str(file), load_external_data=False)
    except Exception as error:  # onnx raises protobuf's and its own
        raise BadBundle(f"{file} cannot be read", "an ONNX file", "export it again") from error
    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        return 0  # a loop's body may take any value of the graph, and would lose it
    graph = Graph(model.graph)
    attentions = [a for node in model.graph.node if node.op_type == "Softmax" and (a := match_attention(graph, node))]
    if not attentions:
        return 0
    _rewrite(model.graph, attentions)
    if all(entry.domain != FUSED_DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(FUSED_DOMAIN, 1))
    if share:
        _share_weights(model.graph, file)
    out.write_bytes(model.SerializeToString())
    return len(attentions)


# --- what is written --------------------------------------------------------------------------------------------------


def _rewrite(graph: onnx.GraphProto, attentions: Sequence[Attention]) -> None:
    """Put each fused operator in place of the Reshape that ends the pattern, and drop what nobody takes any more."""
    by_result = {attention.result: attention for attention in attentions}
    nodes: list[onnx.NodeProto] = []
    if any(rows.behind is not None for a in attentions for rows in (a.queries, a.keys, a.values)):
        nodes = _batch_shape(graph)
    for node in graph.node:
        attention = by_result.get(node.output[0])
        nodes += [node] if attention is None else _fused(graph, attention)
    keep_needed(graph, nodes)
    del graph.value_info[:]


def _batch_shape(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes that make the shape (B, 1, 1), to which constant rows are repeated."""
    graph.initializer.append(numpy_helper.from_array(np.ones(2, np.int64), "fused_ones"))
    batch = helper.make_node("Shape", [graph.input[0].name], ["fused_batch"], start=0, end=1)
    return [batch, helper.make_node("Concat", ["fused_batch", "fused_ones"], ["fused_rows"], axis=0)]


def _fused(graph: onnx.GraphProto, attention: Attention) -> list[onnx.NodeProto]:
    """The operator, after the nodes that join constant rows to its inputs."""
    nodes, inputs = list[onnx.NodeProto](), list[str]()
    for part in ("queries", "keys", "values"):
        rows: Rows = getattr(attention, part)
        name = f"{attention.result}_{part}"
        inputs.append(rows.name if rows.behind is None else name)
        if rows.behind is not None:
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(rows.behind), f"{name}_prompt"))
            nodes.append(helper.make_node("Expand", [f"{name}_prompt", "fused_rows"], [f"{name}_repeated"]))
            nodes.append(helper.make_node("Concat", [rows.name, f"{name}_repeated"], [name], axis=1))
    settings: dict[str, Any] = {"num_heads": attention.heads, "scale": attention.scale}
    nodes.append(helper.make_node(FUSED, inputs, [attention.result], domain=FUSED_DOMAIN, **settings))
    return nodes


def _share_weights(graph: onnx.GraphProto, file: Path) -> None:
    """Let constants whose bytes stand in `file` lie there; equal bytes are equal weights, wherever they stand."""
    data, start = file.read_bytes(), 0
    for tensor in graph.initializer:
        if len(tensor.raw_data) < SHARED_BYTES:
            continue
        offset = data.find(tensor.raw_data, start)  # they are in the file's order
        if offset < 0:
            continue
        start, length = offset, len(tensor.raw_data)
        onnx.external_data_helper.set_external_data(tensor, file.name, offset, length)
        tensor.ClearField("raw_data")
