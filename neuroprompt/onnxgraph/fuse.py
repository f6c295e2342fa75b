"""Rewrites the attention of an ONNX file into ONNX Runtime's own operator, which keeps no matrix of scores in memory.

    softmax(s q k) v  ->  com.microsoft MultiHeadAttention(Q, K, V)

q (B, h, n, d), k (B, h, d, m), v (B, h, m, d) are what the portable file makes of Q (B, n, h d), K and V (B, m, h d) by
a Reshape and a Transpose; the constant keys and values of prompt tokens are joined behind them. The fused file joins
them to K and V before the heads are split: whole rows are copied, and nothing is transposed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neuroprompt.errors import BadBundle
from neuroprompt.onnxgraph.prune import keep_needed
from neuroprompt.onnxgraph.shapes import FUSED, FUSED_DOMAIN

HEADS_FIRST, KEYS_LAST = [0, 2, 1, 3], [0, 2, 3, 1]
"""How the portable file transposes (B, n, h, d): queries and values to (B, h, n, d), keys to (B, h, d, n)."""
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
    graph = _Graph(model.graph)
    attentions = [a for node in model.graph.node if node.op_type == "Softmax" and (a := _match(graph, node))]
    if not attentions:
        return 0
    _rewrite(model.graph, attentions)
    if all(entry.domain != FUSED_DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(FUSED_DOMAIN, 1))
    if share:
        _share_weights(model.graph, file)
    out.write_bytes(model.SerializeToString())
    return len(attentions)


# --- what is looked for -----------------------------------------------------------------------------------------------


class _Graph:
    """A graph's nodes by the value that they make and by the values that they take, and its constants."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.made_by = {name: node for node in graph.node for name in node.output}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self._takers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._takers.setdefault(name, []).append(node)
        self.outputs = {value.name for value in graph.output}

    def maker(self, name: str, operator: str) -> onnx.NodeProto | None:
        """The node of kind `operator` that makes `name`; None where it is another."""
        node = self.made_by.get(name)
        return node if node is not None and node.op_type == operator else None

    def taker(self, name: str, operator: str) -> onnx.NodeProto | None:
        """The one node that takes `name`, if it is of kind `operator` and nobody else takes it."""
        nodes = self._takers.get(name, [])
        return nodes[0] if len(nodes) == 1 and nodes[0].op_type == operator and name not in self.outputs else None

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None


@dataclass(frozen=True)
class _Rows:
    """Rows (B, n, h d) before the heads are split, and constant rows (1, N, h d) that are joined behind them."""

    name: str
    behind: NDArray[Any] | None = None


@dataclass(frozen=True)
class _Attention:
    """One attention: its rows, its heads, the factor of its scores, and the name of its result (B, n, h d)."""

    queries: _Rows
    keys: _Rows
    values: _Rows
    heads: int
    scale: float
    result: str


def _match(graph: _Graph, softmax: onnx.NodeProto) -> _Attention | None:
    """The attention around a Softmax; None where it is another pattern."""
    scores = graph.maker(softmax.input[0], "MatMul")
    mixed = graph.taker(softmax.output[0], "MatMul")
    if scores is None or mixed is None or mixed.input[0] != softmax.output[0] or _attributes(softmax).get("axis") != -1:
        return None
    together = graph.taker(mixed.output[0], "Transpose")
    result = None if together is None else graph.taker(together.output[0], "Reshape")
    if together is None or result is None or _attributes(together)["perm"] != HEADS_FIRST:
        return None
    asked, scale = _scaled(graph, scores.input[0])
    rows = (
        _rows(graph, asked, HEADS_FIRST, -2),
        _rows(graph, scores.input[1], KEYS_LAST, -1),
        _rows(graph, mixed.input[1], HEADS_FIRST, -2),
    )
    if any(part is None for part in rows):
        return None
    (queries, heads), (keys, k_heads), (values, v_heads) = (part for part in rows if part is not None)
    if not heads == k_heads == v_heads:
        return None
    return _Attention(queries, keys, values, heads, scale, result.output[0])


def _scaled(graph: _Graph, name: str) -> tuple[str, float]:
    """What a scalar Mul scales, and by how much: 1 where there is none."""
    scaled = graph.maker(name, "Mul")
    factor = None if scaled is None else graph.constant(scaled.input[1])
    if scaled is None or factor is None or factor.size != 1:
        return name, 1.0
    return scaled.input[0], float(factor.reshape(()))


def _rows(graph: _Graph, name: str, perm: list[int], axis: int) -> tuple[_Rows, int] | None:
    """The rows of which (B, h, n, d), or (B, h, d, n), are made, and the heads; None where it is another pattern."""
    behind = None
    join = graph.maker(name, "Concat")
    if join is not None:
        expand = graph.maker(join.input[1], "Expand") if len(join.input) == 2 else None
        behind = None if expand is None else graph.constant(expand.input[0])
        if expand is None or behind is None or behind.ndim != 4 or _attributes(join)["axis"] not in (axis, 4 + axis):
            return None
        behind = behind.transpose(0, 3, 1, 2) if axis == -1 else behind.transpose(0, 2, 1, 3)  # (1, N, h, d)
        behind = behind.reshape(1, behind.shape[1], -1)
        name = join.input[0]
    split = graph.maker(name, "Transpose")
    shaped = None if split is None else graph.maker(split.input[0], "Reshape")
    if split is None or shaped is None or _attributes(split)["perm"] != perm:
        return None
    shape = graph.constant(shaped.input[1])
    if shape is None or len(shape) != 4:
        return None
    return _Rows(shaped.input[0], behind), int(shape[2])


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


# --- what is written --------------------------------------------------------------------------------------------------


def _rewrite(graph: onnx.GraphProto, attentions: Sequence[_Attention]) -> None:
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


def _fused(graph: onnx.GraphProto, attention: _Attention) -> list[onnx.NodeProto]:
    """The operator, after the nodes that join constant rows to its inputs."""
    nodes, inputs = list[onnx.NodeProto](), list[str]()
    for part in ("queries", "keys", "values"):
        rows: _Rows = getattr(attention, part)
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
