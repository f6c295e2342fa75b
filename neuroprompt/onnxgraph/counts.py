"""Counts an ONNX file's multiply-accumulates from its own graph, so that what is priced is what is deployed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import add
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from neuroprompt.errors import BadBundle, Unsupported
from neuroprompt.onnxgraph.shapes import BYTEWISE, FUSED, FUSED_DOMAIN, STANDARD, Shape, for_one, shapes_of
from neuroprompt.spiking.activity import Activity

Attributes = Mapping[str, Any]


@dataclass(frozen=True)
class Product:
    """One operator that multiplies: its node, its operator, and what it counts for one image."""

    name: str
    operator: str
    activity: Activity


@dataclass(frozen=True)
class GraphCounts:
    """What a graph does for one image, product by product; `footprint` is the bytes of its weights and constants."""

    products: tuple[Product, ...]
    footprint: int

    @property
    def total(self) -> Activity:
        """The counts of all products together."""
        return reduce(add, (product.activity for product in self.products), Activity())

    def by_operator(self) -> dict[str, int]:
        """Multiply-accumulates by operator."""
        macs: Counter[str] = Counter()
        for product in self.products:
            macs[product.operator] += product.activity.macs
        return dict(macs)


def count_graph(file: Path | str) -> GraphCounts:
    """The counts of the graph in `file` for one image (a batch of 1).

    MatMul, Gemm (n, k) x (k, m): n k m. Conv: one per weight that an output sees, its padding included. Attention:
    n_q n_k (d + d_v) a head. reads and writes: each product reads its operands once and writes its result once, which
    is the least that any memory does; an 8-bit number counts as one. Products of two 8-bit integers, in integer
    operators or between QuantizeLinear and DequantizeLinear, are also counted in macs_int8. Biases, norms, softmax,
    pooling and activations are not counted.

    Raises BadBundle where it is no ONNX file, Unsupported where a product's shape depends on more than the batch, or an
    operator multiplies in a way that is not known here.
    """
    try:
        model = onnx.load(str(file), load_external_data=False)
        footprint = sum(_bytes(tensor) for tensor in model.graph.initializer)
        model = for_one(model)
        for node in model.graph.node:
            _check(node, file)
        shapes = shapes_of(model, PRODUCTS)
    except Unsupported:
        raise
    except Exception as error:  # onnx raises protobuf's and its own
        got = f"{file} cannot be read ({(str(error).splitlines() or [''])[0]})"
        raise BadBundle(got, "an ONNX file", "export it again") from error
    products, integers = [], integer_products(model.graph)
    for node in model.graph.node:
        if node.op_type not in PRODUCTS:
            continue
        operands = [shapes.get(name) for name in node.input if name]
        out = shapes.get(node.output[0])
        if out is None or None in operands:
            raise Unsupported(f"{node.op_type} ({node.name}) of {file} has no fixed shape", "shapes that need no run")
        known = [shape for shape in operands if shape is not None]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        macs = PRODUCTS[node.op_type](out, known, attributes)
        reads, bytewise = sum(prod(shape) for shape in known), macs if node.output[0] in integers else 0
        activity = Activity(macs=macs, reads=reads, writes=prod(out), macs_int8=bytewise)
        products.append(Product(node.name, node.op_type, activity))
    return GraphCounts(tuple(products), footprint)


def _check(node: onnx.NodeProto, file: Path | str) -> None:
    """Raises Unsupported where a product is in a node, or may be, and is not counted: the rest would be a part."""
    kind = node.op_type
    if kind in PRODUCTS and node.domain in (STANDARD if kind != FUSED else (FUSED_DOMAIN,)):
        return
    if kind in HOLDERS or any(word in kind for word in ("MatMul", "Conv", "Gemm", "Attention")):
        got = f"operator {kind} ({node.name}) of {file} is not counted"
        raise Unsupported(got, f"products that are one of: {', '.join(PRODUCTS)}")


def integer_products(graph: onnx.GraphProto) -> set[str]:
    """The results of products whose two factors are 8-bit integers: of integer operators, or between QDQ pairs."""
    scaled = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return {
        node.output[0]
        for node in graph.node
        if node.op_type in INTEGER or (node.op_type in ("MatMul", "Conv", "Gemm") and set(node.input[:2]) <= scaled)
    }


def _bytes(tensor: onnx.TensorProto) -> int:
    return int(prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _matmul(out: Shape, operands: list[Shape], _: Attributes) -> int:
    return prod(out) * operands[0][-1]


def _gemm(out: Shape, operands: list[Shape], attributes: Attributes) -> int:
    return prod(out) * operands[0][0 if attributes.get("transA") else 1]


def _conv(out: Shape, operands: list[Shape], _: Attributes) -> int:
    return prod(out) * prod(operands[1][1:])


def _transposed(_: Shape, operands: list[Shape], __: Attributes) -> int:
    return prod(operands[0]) * prod(operands[1][1:])


def _integer_conv(out: Shape, operands: list[Shape], _: Attributes) -> int:
    """x, its scale and zero point, w, ..."""
    return prod(out) * prod(operands[3][1:])


def _einsum(_: Shape, operands: list[Shape], attributes: Attributes) -> int:
    terms = attributes["equation"].decode().replace(" ", "").split("->")[0].split(",")
    if any("." in term for term in terms) or len(terms) != 2:
        raise Unsupported(f"Einsum {','.join(terms)!r}", "two operands, every index named")
    sizes = {i: n for term, shape in zip(terms, operands, strict=True) for i, n in zip(term, shape, strict=True)}
    return prod(sizes.values())


def _attention(_: Shape, operands: list[Shape], attributes: Attributes) -> int:
    """Q, K, V as (B, heads, n, d) or (B, n, heads d): the width of all query heads is what counts."""
    q, k, v = operands[:3]
    if len(q) == 4:
        return prod(q[:3]) * k[2] * (q[3] + v[3])
    shared: int = attributes["q_num_heads"] // attributes["kv_num_heads"]
    return q[0] * q[1] * k[1] * (q[2] + v[2] * shared)


def _fused_attention(_: Shape, operands: list[Shape], __: Attributes) -> int:
    """Q (B, n, D), K (B, m, D), V (B, m, D_v): the width of all heads together is what counts."""
    q, k, v = operands[:3]
    return q[0] * q[1] * k[1] * (q[2] + v[2])


# operator -> its multiply-accumulates, of (result, operands, attributes)
PRODUCTS: dict[str, Callable[[Shape, list[Shape], Attributes], int]] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Conv": _conv,
    "ConvTranspose": _transposed,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "ConvInteger": _conv,
    "QLinearConv": _integer_conv,
    "Einsum": _einsum,
    "Attention": _attention,
    FUSED: _fused_attention,
}
INTEGER = frozenset({"MatMulInteger", "QLinearMatMul", "ConvInteger", "QLinearConv", BYTEWISE})
HOLDERS = frozenset({"Loop", "Scan", "If", "LSTM", "GRU", "RNN"})
"""Operators that hold products of their own."""
