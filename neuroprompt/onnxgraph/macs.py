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
    counter = _Counter()  # type: ignore[no-untyped-call]
    with torch.inference_mode(False), torch.no_grad(), counter:
        module(inputs[:1].clone())
    return counter.macs


class _Counter(TorchDispatchMode):
    macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if packet in PRODUCTS:
            self.macs += PRODUCTS[packet](out, *args)
        elif func.__name__.startswith("_scaled_dot_product"):
            self.macs += _attention(out, *args)
        return out


def _convolution(out: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> int:
    """Each output sees the weights of its filter; transposed: each input meets those of its channel."""
    transposed = rest[4]
    return (x if transposed else out).numel() * prod(weight.shape[1:])


def _attention(out: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: Any) -> int:
    """q (..., n_q, d), k (..., n_k, d), v (..., n_k, d_v)."""
    return prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])


# (result, arguments) -> multiply-accumulates
PRODUCTS: dict[Any, Callable[..., int]] = {
    aten.mm: lambda out, a, b: out.numel() * a.shape[-1],
    aten.bmm: lambda out, a, b: out.numel() * a.shape[-1],
    aten.addmm: lambda out, bias, a, b: out.numel() * a.shape[-1],
    aten.baddbmm: lambda out, bias, a, b: out.numel() * a.shape[-1],
    aten.mv: lambda out, a, b: a.numel(),
    aten.addmv: lambda out, bias, a, b: a.numel(),
    aten.convolution: _convolution,
}
