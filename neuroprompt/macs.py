"""Counts a network's multiply-accumulates by watching which operators run, attention's two products included."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


def count_macs(module: nn.Module, inputs: Tensor) -> int:
    """Multiply-accumulates of one forward pass for one image, the first of `inputs` (B, C, H, W).

    A product (n, k) x (k, m) is n k m; a convolution one per weight that an output sees; attention its products q k^T
    and softmax(.) v, n_q n_k (d + d_v) a head. Biases, norms, softmax, pooling and activations are not counted.
    """
    counter = _Counter()
    with torch.inference_mode(False), torch.no_grad(), counter:
        module(inputs[:1].clone())
    return counter.macs


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if packet in PRODUCTS:
            self.macs += PRODUCTS[packet](*args)
        elif func.__name__.startswith("_scaled_dot_product"):
            self.macs += _attention(*args)
        return out


def _product(a: Tensor, b: Tensor) -> int:
    """(..., n, k) x (..., k, m)."""
    return a.numel() * b.shape[-1]


def _convolution(
    x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, *_: Any
) -> int:
    """Each output sees one weight per input channel of its group and place in the kernel; transposed: each input."""
    if transposed:
        return x.numel() * prod(weight.shape[1:])
    spatial = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    ]
    return x.shape[0] * prod(spatial) * weight.numel()


def _attention(q: Tensor, k: Tensor, v: Tensor, *_: Any) -> int:
    """q (..., n_q, d), k (..., n_k, d), v (..., n_k, d_v)."""
    return prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])


PRODUCTS: dict[Any, Callable[..., int]] = {
    aten.mm: _product,
    aten.bmm: _product,
    aten.addmm: lambda bias, a, b: _product(a, b),
    aten.baddbmm: lambda bias, a, b: _product(a, b),
    aten.mv: lambda a, b: a.numel(),
    aten.addmv: lambda bias, a, b: a.numel(),
    aten.convolution: _convolution,
}
