"""The shapes in an ONNX graph for one image, as far as they can be known without running it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from math import prod

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

SMALL = 1024
"""Constants of so many numbers may be shapes, and are kept; larger ones only slow the inference of shapes."""

STANDARD = ("", "ai.onnx")
FUSED, FUSED_DOMAIN = "MultiHeadAttention", "com.microsoft"
"""ONNX Runtime's fused attention: Q (B, n, h d), K and V (B, m, h d) -> (B, n, h d)."""
BYTEWISE = "MatMulIntegerToFloat"
"""ONNX Runtime's product of 8-bit integers, of the same domain, with scales and a bias: A, B, s_A, s_B, z_A, z_B, b."""

Shape = tuple[int, ...]


def for_one(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model for a batch of 1, its functions inlined; what it says of other shapes is forgotten, and its weights.

    Products that onnx does not know are replaced by those that it does.
    """
    for tensor in model.graph.initializer:
        if prod(tensor.dims) > SMALL:
            tensor.ClearField("raw_data")
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    _split_products(model.graph)
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and len(dims) and not dims[0].HasField("dim_value"):
            dims[0].dim_value = 1
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model


def _split_products(graph: onnx.GraphProto) -> None:
    """Put ONNX's own product of integers in place of ONNX Runtime's, whose shape onnx does not know."""
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != BYTEWISE or node.domain != FUSED_DOMAIN:
            nodes.append(node)
            continue
        (out,), whole = node.output, f"{node.output[0]}_whole"
        operands = [*node.input[:2], *node.input[4:6]]
        nodes.append(helper.make_node("MatMulInteger", operands, [whole], name=node.name))
        nodes.append(helper.make_node("Cast", [whole], [out], to=onnx.TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(nodes)


def shapes_of(model: onnx.ModelProto, wanted: Container[str]) -> dict[str, Shape]:
    """Shapes by name, with those of what the operators in `wanted` take, as far as they can be known.

    Where nodes compute a shape that onnx's inference does not follow, they are run, and the inference goes on.
    """
    while True:
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph
        shapes = _known_shapes(inferred)
        if _fused_shapes(model.graph, shapes):
            continue
        if all(name in shapes for node in inferred.node if node.op_type in wanted for name in node.input if name):
            return shapes
        if not _fold(model.graph, shapes, wanted):
            return shapes


def _fused_shapes(graph: onnx.GraphProto, shapes: Mapping[str, Shape]) -> bool:
    """Note the results' shapes of fused attentions, which onnx does not know; whether there were new ones."""
    noted = {value.name for value in graph.value_info}
    new = [
        helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, (*shapes[query][:2], shapes[value][2]))
        for node in graph.node
        if node.op_type == FUSED and node.domain == FUSED_DOMAIN and node.output[0] not in noted
        for query, value in [(node.input[0], node.input[2])]
        if query in shapes and value in shapes
    ]
    graph.value_info.extend(new)
    return bool(new)


def _fold(graph: onnx.GraphProto, shapes: Mapping[str, Shape], kept: Container[str]) -> bool:
    """Replace nodes that depend on shapes alone by their values, but for `kept`; whether there were any."""
    known = {t.name: numpy_helper.to_array(t) for t in graph.initializer if prod(t.dims) <= SMALL}
    folded = []
    for node in graph.node:
        if node.op_type in kept or node.domain not in STANDARD:
            continue
        if node.op_type == "Shape" and node.input[0] in shapes:
            values = np.array(shapes[node.input[0]], np.int64)
            ends = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            known[node.output[0]] = values[ends.get("start", 0) : ends.get("end")]
        elif len(node.output) == 1 and node.input and all(name in known for name in node.input):
            (value,) = ReferenceEvaluator(node).run(None, {name: known[name] for name in node.input})
            known[node.output[0]] = np.asarray(value)
        else:
            continue
        if known[node.output[0]].size > SMALL:
            del known[node.output[0]]
            continue
        folded.append(node)
    for node in folded:
        graph.initializer.append(numpy_helper.from_array(known[node.output[0]], node.output[0]))
        graph.node.remove(node)
    return bool(folded)


def _known_shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    """The shapes that are known in full, by name."""
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return shapes
