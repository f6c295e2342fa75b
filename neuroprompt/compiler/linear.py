"""The linear nodes of NIR: what shape they give, and the sparse matrix that each of them is."""

from __future__ import annotations

from math import prod
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, coo_matrix, csr_matrix, diags, eye

from neuroprompt.compiler.check import MOST_SYNAPSES
from neuroprompt.errors import BadGraph, Unsupported

Array = NDArray[Any]
Shape = tuple[int, ...]


def shape_after(name: str, node: Any, shape: Shape) -> Shape:
    """The shape that a linear node gives for an input of `shape`; raises BadGraph where they do not fit."""
    if isinstance(node, (nir.Affine, nir.Linear)):
        wanted = (*node.weight.shape[:-2], node.weight.shape[-1])
        _same_size(name, wanted, shape)
        return (*node.weight.shape[:-2], node.weight.shape[-2])
    if isinstance(node, nir.Scale):
        return _same_size(name, np.shape(node.scale) or shape, shape)
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        inside, window = conv_window(name, node, shape)
        return (node.weight.shape[0], *window.outside(name, inside[1:]))
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
        if len(shape) != 3:
            raise BadGraph(f"node {name!r} pools an input of shape {shape}", "(channels, height, width)")
        return (shape[0], *_pool_window(name, node).outside(name, shape[1:]))
    if isinstance(node, nir.Flatten):
        return _flat_shape(name, node, shape)
    return shape


def matrix_of(name: str, node: Any, shape: Shape) -> tuple[Any, Array | None]:
    """(W, b) of y = W x + b on flattened values; W dense or sparse (out, in), None for the identity; b (out,) or None.

    Conv2d   y[o, p] = sum_(i, k) w[o, i, k] x[i, stride p + dilation k - padding] + b[o];  Conv1d alike
    SumPool2d, AvgPool2d   the sum over a window, and that over its size, padding counted
    """
    if isinstance(node, (nir.Affine, nir.Linear)):
        weight = node.weight.astype(np.float64)
        blocks = weight.reshape(-1, *weight.shape[-2:])
        matrix = blocks[0] if len(blocks) == 1 else csr_matrix(block_diag(list(blocks)))
        if not isinstance(node, nir.Affine):
            return matrix, None
        return matrix, _bias(name, node.bias, prod(weight.shape[:-1]))
    if isinstance(node, nir.Scale):
        return diags(np.broadcast_to(node.scale, shape).astype(np.float64).reshape(-1)).tocsr(), None
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        inside, window = conv_window(name, node, shape)
        matrix = _convolution(name, node.weight.astype(np.float64), _integer(name, node.groups), inside, window)
        bias = _bias(name, node.bias, node.weight.shape[0])
        return matrix, np.repeat(bias, matrix.shape[0] // len(bias))
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
        window = _pool_window(name, node)
        one = np.ones((shape[0], 1, *window.kernel))
        if isinstance(node, nir.AvgPool2d):
            one = one / prod(window.kernel)
        return _convolution(name, one, shape[0], shape, window), None
    return None, None


class Window:
    """Kernel, stride, padding (before, after) and dilation of a sliding window, an entry for every axis."""

    def __init__(self, kernel: Shape, stride: Shape, padding: tuple[Shape, Shape], dilation: Shape) -> None:
        self.kernel, self.stride, self.padding, self.dilation = kernel, stride, padding, dilation

    def outside(self, name: str, inside: Shape) -> Shape:
        """The number of places along every axis."""
        before, after = self.padding
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        padded = [n + b + a for n, b, a in zip(inside, before, after, strict=True)]
        places = tuple((n - r) // s + 1 for n, r, s in zip(padded, reach, self.stride, strict=True))
        if min(places) < 1:
            raise BadGraph(f"node {name!r} has a window of {reach} over an input of {tuple(inside)}", "a larger input")
        return places


def _convolution(name: str, weight: Array, groups: int, inside: Shape, window: Window) -> Any:
    """The matrix of weights (out, in / groups, *kernel) over an input of shape `inside` (channels, ...)."""
    outputs, outside = weight.shape[0], window.outside(name, inside[1:])
    if inside[0] != weight.shape[1] * groups or outputs % groups:
        got = f"node {name!r} has weights of shape {weight.shape} and {groups} groups on {inside[0]} channels"
        raise BadGraph(got, f"{weight.shape[1] * groups} channels in, a multiple of the groups out")
    if weight.size * prod(outside) > MOST_SYNAPSES:
        got = f"node {name!r} becomes {weight.size * prod(outside):,} synapses"
        raise Unsupported(got, f"at most {MOST_SYNAPSES:,}", "a smaller image, or a larger stride")
    position = np.arange(prod(inside)).reshape(inside)
    padding = [(0, 0), *zip(*window.padding, strict=True)]
    position = np.pad(position, padding, constant_values=-1)
    each = weight.shape[1]
    first = np.arange(outputs) // (outputs // groups) * each  # the first input channel of every output channel
    channels = first[:, None] + np.arange(each)  # (out, in / groups)
    places = np.arange(prod(outside)).reshape(outside)
    rows, columns, values = [], [], []
    for offset in np.ndindex(*window.kernel):
        cut = tuple(
            slice(d * k, d * k + s * (n - 1) + 1, s)
            for k, d, s, n in zip(offset, window.dilation, window.stride, outside, strict=True)
        )
        seen = position[(slice(None), *cut)][channels]  # (out, in / groups, *outside)
        row = np.arange(outputs).reshape(-1, *(1,) * (seen.ndim - 1)) * places.size + places
        value = np.broadcast_to(weight[(..., *offset)][(...,) + (None,) * places.ndim], seen.shape)
        there = (seen >= 0) & (value != 0)
        rows.append(np.broadcast_to(row, seen.shape)[there])
        columns.append(seen[there])
        values.append(value[there])
    at = (np.concatenate(rows), np.concatenate(columns))
    return coo_matrix((np.concatenate(values), at), (outputs * places.size, prod(inside))).tocsr()


def conv_window(name: str, node: Any, shape: Shape | None) -> tuple[Shape, Window]:
    """The input's shape with its channels, and the window; raises BadGraph, Unsupported.

    `shape` is what arrives, or None where the node's own `input_shape` is enough.
    """
    kernel = node.weight.shape[2:]
    axes = len(kernel)
    channels = node.weight.shape[1] * _integer(name, node.groups)
    inside = shape or ()
    if node.input_shape is not None:
        inside = (channels, *_per_axis(name, node.input_shape, axes, least=1))
        _same_size(name, inside, shape or inside)
    if len(inside) != axes + 1:
        raise BadGraph(f"node {name!r} convolves an input of shape {inside}", f"channels and {axes} axes")
    stride, dilation = (_per_axis(name, value, axes, least=1) for value in (node.stride, node.dilation))
    padding = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    if isinstance(padding, str):
        if padding == "same" and set(stride) != {1}:
            raise BadGraph(f'node {name!r} has padding "same" with stride {stride}', "stride 1")
        total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        both = tuple(n // 2 for n in total), tuple(n - n // 2 for n in total)
    else:
        both = (_per_axis(name, padding, axes, least=0),) * 2
    return inside, Window(kernel, stride, both, dilation)


def _pool_window(name: str, node: Any) -> Window:
    kernel, stride = (_per_axis(name, value, 2, least=1) for value in (node.kernel_size, node.stride))
    padding = _per_axis(name, node.padding, 2, least=0)
    return Window(kernel, stride, (padding, padding), (1, 1))


def _flat_shape(name: str, node: Any, shape: Shape) -> Shape:
    declared = node.input_type.get("input") if isinstance(node.input_type, dict) else None
    if declared is not None:
        sides = np.atleast_1d(np.asarray(declared))
        if sides.dtype.kind not in "iu" or sides.ndim != 1:
            raise BadGraph(f"node {name!r} declares the shape {sides.tolist()!r}", "whole numbers")
        shape = _same_size(name, tuple(int(n) for n in sides), shape)
    first, last = _integer(name, node.start_dim, -len(shape)), _integer(name, node.end_dim, -len(shape))
    if first >= len(shape):
        raise BadGraph(f"node {name!r} flattens from axis {first} on an input of shape {shape}", "one of its axes")
    first, last = first % len(shape), last % len(shape) if last < len(shape) else len(shape) - 1
    if first > last:  # one axis left of it: nothing to flatten
        return shape
    return (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :])


def _same_size(name: str, wanted: Shape, shape: Shape) -> Shape:
    wanted = tuple(int(n) for n in wanted)
    if prod(wanted) != prod(shape):
        raise BadGraph(f"node {name!r} takes {prod(wanted)} values and gets {prod(shape)}", "nodes of matching sizes")
    return wanted


def _bias(name: str, bias: Any, size: int) -> Array:
    values = np.asarray(bias, np.float64).reshape(-1)
    if values.size != size:
        raise BadGraph(f"node {name!r} has {values.size} biases", f"{size}, one for each row or channel")
    return values


def _per_axis(name: str, value: Any, axes: int, least: int) -> Shape:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.size not in (1, axes) or array.min() < least or array.max() > 2**20:
        raise BadGraph(f"node {name!r} has {value!r} where a window is described", f"{axes} whole numbers of {least}+")
    return tuple(int(n) for n in np.broadcast_to(array.reshape(-1), (axes,)))


def _integer(name: str, value: Any, least: int = 1) -> int:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.size != 1 or int(array.reshape(-1)[0]) < least:
        raise BadGraph(f"node {name!r} has {value!r}", f"a whole number of at least {least}")
    return int(array.reshape(-1)[0])


def identity(size: int) -> Any:
    """The sparse identity."""
    return eye(size, format="csr")
