"""Puts the convolution that makes tokens of an image's patches into 8 bits, with the pixels as they were: exactly.

    x = (p / 255 - m_c) / s_c, p in 0..255, so p = 255 s_c x + 255 m_c is whole, and no scale has to be found

    Conv (d, C, h, w), stride (h, w), of x, as tokens (B, n, d)
      ->  p as 8 bits, in rows (B, n, C h w), times W_c / (255 s_c), plus b - sum over c of W_c m_c / s_c

One scale for all channels of normalised pixels would round them once more, which makes half as much error as all other
products together. Integers, a quarter of the bytes, are what is put in the order of patches. A pixel between two whole
ones, as noise makes them, becomes the nearer one, as in any image file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neuroprompt.contracts.deployment import Floats
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.onnxgraph.attention import Graph
from neuroprompt.onnxgraph.prune import keep_needed
from neuroprompt.onnxgraph.rounding import rounded, scales

NAME = "patches"
"""Prefix of what is added to the graph."""
TURN = (0, 2, 4, 1, 3, 5)
"""From images (B, C, rows, h, columns, w) to rows of patches."""


@dataclass(frozen=True)
class _Patches:
    """The convolution, the node that makes tokens of its result, and how many rows and columns of patches there are."""

    conv: onnx.NodeProto
    last: onnx.NodeProto
    weight: NDArray[Any]
    rows: int
    columns: int

    @property
    def split(self) -> tuple[int, int, int, int, int]:
        """The shape (C, rows, h, columns, w) of an image."""
        channels, height, width = self.weight.shape[1:]
        return channels, self.rows, height, self.columns, width

    def in_rows(self, whole: NDArray[Any]) -> NDArray[Any]:
        """Pixels (B, C, H, W) as rows (B n, C h w)."""
        return whole.reshape(-1, *self.split).transpose(TURN).reshape(-1, self.weight[0].size)


def round_patches(model: onnx.ModelProto, pixels: Preprocess, images: Floats) -> int:
    """Rewrite the convolution of patches of `model`; 1 where it begins with one whose image has a fixed size, else 0.

    pixels: how images were normalised. images: some of them, normalised (B, C, H, W); weights are rounded so that the
    product stays right on them (`rounding`).
    """
    graph = Graph(model.graph)
    patches = _found(graph, len(pixels.mean))
    if patches is None:
        return 0
    mean, deviation = (np.array(part, np.float64).reshape(-1, 1, 1) for part in (pixels.mean, pixels.std))
    whole = np.clip(np.round(255 * (images * deviation + mean)), 0, 255)
    rows = patches.in_rows(whole)
    weight = patches.weight.astype(np.float64)
    by_pixel = (weight / (255 * deviation)).reshape(len(weight), -1).T
    scale = scales(by_pixel)
    eight = rounded(by_pixel, rows.T @ rows, scale.astype(np.float64))
    bias = -(weight * (mean / deviation)).sum(axis=(1, 2, 3))
    if len(patches.conv.input) > 2:
        bias += numpy_helper.to_array(graph.constants[patches.conv.input[2]])
    channels = len(pixels.mean)
    arrays: dict[str, NDArray[Any]] = {
        "gain": (255 * deviation).reshape(-1).astype(np.float32),
        "shift": (255 * mean).reshape(-1).astype(np.float32),
        "zeros": np.zeros(channels, np.float32),
        "ones": np.ones(channels, np.float32),
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.uint8),
        "split": np.array([-1, *patches.split], np.int64),
        "joined": np.array([-1, patches.rows * patches.columns, len(by_pixel)], np.int64),
        "weight": eight,
        "scale": scale,
        "zero_point": np.zeros(len(scale), np.int8),
        "bias": bias.astype(np.float32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(array, f"{NAME}_{end}") for end, array in arrays.items())
    new = _nodes(patches)
    keep_needed(model.graph, [n for old in model.graph.node for n in (new if old is patches.last else [old])])
    del model.graph.value_info[:]
    return 1


def _nodes(patches: _Patches) -> list[onnx.NodeProto]:
    """From normalised pixels to tokens."""

    def node(operator: str, inputs: str, result: str, **settings: Any) -> onnx.NodeProto:
        """`inputs` and `result` without their prefix."""
        names = [f"{NAME}_{end}" for end in inputs.split()]
        return helper.make_node(operator, names, [f"{NAME}_{result}"], name=f"{NAME}_{result}_node", **settings)

    nodes = [
        node("BatchNormalization", "image gain shift zeros ones", "pixels", epsilon=0.0),
        node("QuantizeLinear", "pixels one zero", "whole"),
        node("Reshape", "whole split", "parts"),
        node("Transpose", "parts", "turned", perm=TURN),
        node("Reshape", "turned joined", "rows"),
        node("DequantizeLinear", "rows one zero", "numbers"),
        node("DequantizeLinear", "weight scale zero_point", "weights", axis=1),
        node("MatMul", "numbers weights", "product"),
        node("Add", "product bias", "tokens"),
    ]
    nodes[0].input[0], nodes[-1].output[0] = patches.conv.input[0], patches.last.output[0]
    return nodes


def _found(graph: Graph, channels: int) -> _Patches | None:
    """The convolution whose result (B, d, rows, columns) a Reshape and a Transpose make tokens (B, n, d) of."""
    for conv in [node for node in graph.graph.node if node.op_type == "Conv" and node.input[1] in graph.constants]:
        shaped = graph.taker(conv.output[0], "Reshape")
        turned = None if shaped is None else graph.taker(shaped.output[0], "Transpose")
        if turned is None or [list(a.ints) for a in turned.attribute if a.name == "perm"] != [[0, 2, 1]]:
            continue
        weight = numpy_helper.to_array(graph.constants[conv.input[1]])
        dims = next((v.type.tensor_type.shape.dim for v in graph.graph.input if v.name == conv.input[0]), ())
        image = [dim.dim_value for dim in dims[1:]]  # 0 where it is not fixed
        settings = {a.name: helper.get_attribute_value(a) for a in conv.attribute}
        usual = {"group": 1, "dilations": [1, 1], "pads": [0] * 4, "auto_pad": b"NOTSET"}
        plain = all(settings.get(name, value) == value for name, value in usual.items())
        if not plain or len(image) != 3 or weight.ndim != 4 or settings.get("strides") != list(weight.shape[2:]):
            continue
        height, width = weight.shape[2:]
        if image[0] == weight.shape[1] == channels and all(image) and not (image[1] % height or image[2] % width):
            return _Patches(conv, turned, weight, image[1] // height, image[2] // width)
    return None
