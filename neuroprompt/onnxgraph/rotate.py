"""Turns the channels of the stream of tokens by an orthogonal matrix, so that no channel of an activation is wide.

    x -> x Q,   LN(x) g + b, then W  ->  LN(x Q), then Q^T diag(g) W, plus b W,   with Q 1 = 1

The network computes the same, at no cost: a Q that leaves the vector of ones where it is leaves every token's mean and
variance, so a LayerNorm without gain and bias commutes with it; all else that makes or takes the stream is linear, and
takes Q into its weights. After it a token's numbers are spread evenly, and 8 bits fit all of them. Ashkboos et al.,
QuaRot, NeurIPS 2024 (arXiv 2404.00456), section 4, do so for norms without means, and by Ashkboos et al., SliceGPT,
ICLR 2024 (arXiv 2401.15024), section 3.1, for LayerNorm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from neuroprompt.onnxgraph.prune import drop_unused

ALONG = frozenset({"Slice", "Gather", "Identity", "ReduceMean"})
"""Operators that choose or average tokens, where their axes are not the channels."""


def rotation(width: int) -> NDArray[np.float64]:
    """An orthogonal matrix (width, width) that maps the vector of ones to itself, and is random apart from that."""
    random = np.random.default_rng(0).standard_normal((width, width))
    ones = np.full((width, 1), width**-0.5)
    # The first column is the normed vector of ones, up to its sign; the others are any that complete it.
    basis = np.linalg.qr(np.concatenate([ones, random[:, 1:]], axis=1))[0]
    within, _ = np.linalg.qr(random[1:, 1:])
    turned: NDArray[np.float64] = ones @ ones.T + basis[:, 1:] @ within @ basis[:, 1:].T
    return turned


def rotate(model: onnx.ModelProto) -> int:
    """Rotate every stream of tokens that can be; returns how many LayerNorms are behind rotated ones.

    A stream that an operator makes or takes in another way is left as it is.
    """
    count, ranks = 0, _ranks(model)
    done: set[str] = set()
    for norm in [node for node in model.graph.node if node.op_type == "LayerNormalization"]:
        if norm.input[0] in done:
            continue
        stream = _Stream(model.graph, ranks)
        if stream.grow(norm.input[0]):
            stream.turn()
            count += len(stream.norms)
        done |= stream.values
    if count:
        drop_unused(model.graph)
        del model.graph.value_info[:]
    return count


def works_on_channels(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a node of ALONG, or a Concat, works on another axis than that of tokens (B, n, d), or may do so."""
    if node.op_type == "Identity":
        return False
    axes = [a.i for a in node.attribute if a.name == "axis"]
    if node.op_type in ("Slice", "ReduceMean"):
        place = 3 if node.op_type == "Slice" else 1
        if len(node.input) <= place or node.input[place] not in constants:
            return True
        axes = numpy_helper.to_array(constants[node.input[place]]).reshape(-1).tolist()
    return axes != [1]


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """How many axes each value has, as far as it can be known."""
    values = shape_inference.infer_shapes(model).graph.value_info
    return {v.name: len(v.type.tensor_type.shape.dim) for v in values if v.type.tensor_type.HasField("shape")}


@dataclass
class _Stream:
    """Values (..., d) that are turned together, and the nodes between them and everything else.

    values   of the stream itself
    constant (node, input): constants that are part of the stream; products, convs: what writes into it; norms, readers:
             the LayerNorms that take it, and the products that take what those make
    """

    graph: onnx.GraphProto
    ranks: Mapping[str, int]
    values: set[str] = field(default_factory=set)
    constant: list[tuple[onnx.NodeProto, int]] = field(default_factory=list)
    products: list[onnx.NodeProto] = field(default_factory=list)
    convs: list[onnx.NodeProto] = field(default_factory=list)
    norms: list[onnx.NodeProto] = field(default_factory=list)
    readers: list[tuple[onnx.NodeProto, onnx.NodeProto]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.made_by = {name: node for node in self.graph.node for name in node.output}
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.takers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in dict.fromkeys(node.input):
                self.takers.setdefault(name, []).append(node)
        self.outputs = {value.name for value in self.graph.output}

    # --- what belongs to it ----------------------------------------------------------------------------------------

    def grow(self, start: str) -> bool:
        """Find all that is turned with `start`; False where something is in the way."""
        left = [start]
        while left:
            name = left.pop()
            if name in self.values:
                continue
            self.values.add(name)
            if name in self.outputs or name not in self.made_by:
                return False
            before = self._made(self.made_by[name], name)
            after = None if before is None else self._taken(name)
            if before is None or after is None:
                return False
            left += [*before, *after]
        shapes = [self.constants[name].dims for norm in self.norms for name in norm.input[1:]]
        widths = {dims[-1] for dims in shapes} | {self.constants[node.input[1]].dims[1] for node in self.products}
        widths |= {self.constants[node.input[place]].dims[-1] for node, place in self.constant}
        widths |= {self.constants[conv.input[1]].dims[0] for conv in self.convs}
        return len(widths) == 1 and all(len(dims) == 1 for dims in shapes) and len(shapes) == 2 * len(self.norms)

    def _made(self, node: onnx.NodeProto, name: str) -> list[str] | None:
        """The values of the stream that `node` makes `name` of; None where it is no part of a stream."""
        if node.op_type == "Add" or (node.op_type == "Concat" and self._along(node, name)):
            return self._parts(node, range(len(node.input)))
        if node.op_type == "Expand" or (node.op_type in ALONG and self._along(node, node.input[0])):
            return self._parts(node, range(1))
        if node.op_type == "MatMul" and self._rank(node.input[1]) == 2:
            self.products.append(node)
            return []
        conv = self._patches(node)
        if conv is not None:
            self.convs.append(conv)
            return []
        return None

    def _parts(self, node: onnx.NodeProto, places: range) -> list[str] | None:
        names = []
        for place in places:
            if node.input[place] not in self.constants:
                names.append(node.input[place])
            elif self._rank(node.input[place]):
                self.constant.append((node, place))
            else:
                return None
        return names

    def _patches(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The convolution whose result (B, d, h, w) `node` makes tokens (B, h w, d) of."""
        perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
        shaped = self.made_by.get(node.input[0]) if node.op_type == "Transpose" and perm == [0, 2, 1] else None
        conv = self.made_by.get(shaped.input[0]) if shaped is not None and shaped.op_type == "Reshape" else None
        if shaped is None or conv is None or conv.op_type != "Conv" or conv.input[1] not in self.constants:
            return None
        shape = self._array(shaped.input[1]).tolist() if shaped.input[1] in self.constants else []
        alone = all(len(self.takers[n.output[0]]) == 1 for n in (conv, shaped))
        return conv if alone and len(shape) == 3 and shape[1] == self.constants[conv.input[1]].dims[0] else None

    def _taken(self, name: str) -> list[str] | None:
        """The values of the stream that are made of `name`; None where something else takes it."""
        values = []
        for node in self.takers.get(name, []):
            if node.op_type == "LayerNormalization" and node.input[0] == name:
                if not self._read(node, node.output[0]) or not {*node.input[1:]} <= self.constants.keys():
                    return None
                self.norms.append(node)
            elif node.op_type in ("Add", "Concat", "Expand") or node.op_type in ALONG:
                values.append(node.output[0])  # `_made` looks at it
            else:
                return None
        return values

    def _read(self, norm: onnx.NodeProto, name: str) -> bool:
        """Note the products that take what `norm` makes; False where something else does."""
        if name in self.outputs or len(norm.output) != 1:
            return False
        for node in self.takers.get(name, []):
            if node.op_type in ALONG and self._along(node, name):
                if not self._read(norm, node.output[0]):
                    return False
            elif self._is_product(node) and node.input[0] == name:
                self.readers.append((norm, node))
            else:
                return False
        return True

    def _is_product(self, node: onnx.NodeProto) -> bool:
        settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        plain = settings.get("alpha", 1) == 1 and settings.get("beta", 1) == 1 and not settings.get("transA")
        return (node.op_type == "MatMul" or (node.op_type == "Gemm" and plain)) and self._rank(node.input[1]) == 2

    def _along(self, node: onnx.NodeProto, tokens: str) -> bool:
        """Whether the node works along `tokens` (B, n, d), and leaves the channels as they are."""
        return self.ranks.get(tokens) == 3 and not works_on_channels(node, self.constants)

    def _rank(self, name: str) -> int:
        """Of a constant its axes, where the last is no single number; else 0."""
        dims = self.constants[name].dims if name in self.constants else []
        return len(dims) if len(dims) and dims[-1] > 1 else 0

    def _array(self, name: str) -> NDArray[Any]:
        return numpy_helper.to_array(self.constants[name])

    # --- what is changed -------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Turn the constants, what writes into the stream, and what reads it."""
        width = len(self._array(self.norms[0].input[1]))
        turn = rotation(width)
        for node, place in self.constant:
            self._replace(node, place, self._array(node.input[place]) @ turn)
        for node in self.products:
            self._replace(node, 1, self._array(node.input[1]) @ turn)
        for node in self.convs:
            self._replace(node, 1, np.tensordot(turn.T, self._array(node.input[1]), 1))
            if len(node.input) > 2:
                self._replace(node, 2, self._array(node.input[2]) @ turn)
        for norm, node in self.readers:
            gain, shift = (self._array(name).astype(np.float64) for name in norm.input[1:3])
            flip = any(a.name == "transB" and a.i for a in node.attribute)
            weight = self._array(node.input[1]).astype(np.float64)
            weight = weight.T if flip else weight
            new = turn.T @ (gain[:, None] * weight)
            self._shift(node, shift @ weight)
            self._replace(node, 1, new.T if flip else new)
        for norm in self.norms:
            self._replace(norm, 1, np.ones(width))
            self._replace(norm, 2, np.zeros(width))

    def _shift(self, node: onnx.NodeProto, by: NDArray[np.float64]) -> None:
        """Add a constant to what a product gives: in the bias behind it, or by an Add of its own."""
        if not by.any():
            return
        behind = self.takers.get(node.output[0], [])
        if node.op_type == "Gemm":
            if len(node.input) > 2:
                self._replace(node, 2, self._array(node.input[2]) + by)
            else:
                node.input.append("")
                self._replace(node, 2, by)
            return
        place = next((i for i, name in enumerate(behind[0].input) if self._rank(name) == 1), None) if behind else None
        if len(behind) == 1 and behind[0].op_type == "Add" and place is not None:
            self._replace(behind[0], place, self._array(behind[0].input[place]) + by)
            return
        (result,), inner = node.output, f"{node.output[0]}_unshifted"
        node.output[0] = inner
        add = helper.make_node("Add", [inner, ""], [result], name=f"{node.name}_shift")
        self._replace(add, 1, by)
        index = next(i for i, other in enumerate(self.graph.node) if other.output[0] == inner)
        self.graph.node.insert(index + 1, add)

    def _replace(self, node: onnx.NodeProto, place: int, values: NDArray[Any]) -> None:
        """Give the node a constant of its own there: others may share the old one."""
        name = f"{node.name}_turned_{place}"
        tensor = numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name)
        self.graph.initializer.append(tensor)
        self.constants[name] = tensor
        node.input[place] = name
