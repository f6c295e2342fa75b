"""Drops from an ONNX graph what nothing takes, after a rewrite."""

from __future__ import annotations

from collections.abc import Sequence

import onnx


def keep_needed(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Make `nodes`, in their order, the graph's own, without those that lead to no output; and their constants."""
    needed = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    drop_unused(graph)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Drop the constants that no node takes, and that are no output."""
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
