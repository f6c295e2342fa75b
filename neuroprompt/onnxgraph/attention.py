"""Finds the attentions of a portable ONNX file: their queries, keys and values, and the constant rows behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

HEADS_FIRST, KEYS_LAST = [0, 2, 1, 3], [0, 2, 3, 1]
"""How the portable file transposes (B, n, h, d): queries and values to (B, h, n, d), keys to (B, h, d, n)."""


class Graph:
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

    def takers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that take `name`."""
        return self._takers.get(name, [])

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None


@dataclass(frozen=True)
class Rows:
    """Rows (B, n, h d) before the heads are split, and constant rows (1, N, h d) that the Expand joins behind them."""

    name: str
    behind: NDArray[Any] | None = None
    expand: onnx.NodeProto | None = None


@dataclass(frozen=True)
class Attention:
    """One attention: its rows, its heads, the factor of its scores, and the name of its result (B, n, h d)."""

    queries: Rows
    keys: Rows
    values: Rows
    heads: int
    scale: float
    result: str


def match_attention(graph: Graph, softmax: onnx.NodeProto) -> Attention | None:
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
    return Attention(queries, keys, values, heads, scale, result.output[0])


def _scaled(graph: Graph, name: str) -> tuple[str, float]:
    """What a scalar Mul scales, and by how much: 1 where there is none."""
    scaled = graph.maker(name, "Mul")
    factor = None if scaled is None else graph.constant(scaled.input[1])
    if scaled is None or factor is None or factor.size != 1:
        return name, 1.0
    return scaled.input[0], float(factor.reshape(()))


def _rows(graph: Graph, name: str, perm: list[int], axis: int) -> tuple[Rows, int] | None:
    """The rows of which (B, h, n, d), or (B, h, d, n), are made, and the heads; None where it is another pattern."""
    behind = expand = None
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
    return Rows(shaped.input[0], behind, expand), int(shape[2])


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
