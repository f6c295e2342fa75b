"""How far rounding moves what a network gives: an error analysis that runs the network itself.

Iri's estimate (Japan J. Appl. Math. 1, 1984; Higham, section 26.1 on automatic error analysis) in its random form:
an operation k of the network gives z_k with a rounding error of at most c_k, and to first order the output moves by
sum_k J_k d_k, |d_k| <= c_k. Where the d_k are independent and of mean 0, as in Higham and Mary's analysis (SIAM J. Sci.
Comput. 41, 2019), Hoeffding's inequality bounds it by

    |sum_k J_k d_k| <= SIGMAS sigma,   sigma^2 = sum_k J_k^2 c_k^2,

but for a chance of 2 exp(-SIGMAS^2 / 2) = 3e-8 a value. sigma is measured: the network runs in float64, the result of
every operation is moved by +c_k or -c_k, and the outputs' root mean square deviation is sigma. So the condition of the
network is in the bound, and no processor, library or thread is: they change the d_k, not the c_k.

c_k is what the model allows an operation for any order of its sums (Higham and Mary, Theorem 3.1): for n products
sqrt(n + 2) u |W| |x|, and a few u |z| for others, see the rules below. The two: every argument counts as rounded once
more, because a bake folds constants and rounds them, and a runtime folds norms into weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from float_bounds import SIGMAS, U32
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

DRAWS = 4
"""Runs with other signs; with the images of a batch and the values of an output they are samples enough."""
CURVE = 8
"""Roundings of a curve (exp, erf, tanh, ...): vector libraries give them within 4 units in the last place."""

Rule = Callable[[Any, tuple[Any, ...], dict[str, Any], Tensor], Tensor]


def rounding(network: Callable[..., Tensor], *inputs: Tensor) -> float:
    """How far `network(*inputs)`, in the inputs' float type, may lie from the exact result: SIGMAS sigma.

    The largest over the output's values. Two forms of a network may differ by the sum of both their bounds. Inputs
    count as rounded once, so that `images + overlay` may be the input. Raises NotImplementedError for an operation
    without a rule: none is forgotten silently.
    """
    u = torch.finfo(inputs[0].dtype).eps / 2
    exact = copy.deepcopy(network).double() if isinstance(network, nn.Module) else network
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # attention in its parts
        numbers = [x.double() for x in inputs]
        right, moved = exact(*numbers), []
        for _ in range(DRAWS):
            near = [x + U32 * x.abs() * _signs(x, generator) for x in numbers]
            with _Rounded(generator):
                moved.append(exact(*near) - right)
        deviations = torch.cat(moved)
    sigma = float(deviations.square().mean(0).sqrt().max())
    assert SIGMAS * sigma <= 0.02 * float(right.abs().max()), "rounding decides this output: no bound would be a test"
    return SIGMAS * sigma * u / U32


def assert_rounding_apart(got: Tensor, expected: Tensor, *bounds: float) -> None:
    """`got` and `expected` differ by at most the sum of the bounds of what made them."""
    torch.testing.assert_close(got, expected, rtol=0, atol=sum(bounds))


class _Rounded(TorchDispatchMode):
    """Moves the result of every operation by the bound of its rounding error in float32, up or down."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.generator = generator

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rule, in_place = _rule(func)
        if rule is None:
            return func(*args, **(kwargs or {}))
        kwargs = kwargs or {}
        before = tuple(a.clone() if isinstance(a, Tensor) else a for a in args) if in_place else args
        out = func(*args, **kwargs)
        z = out[0] if isinstance(out, tuple) else out
        if z.is_floating_point() or z.is_complex():
            bound = rule(func, before, kwargs, z).nan_to_num(0, 0, 0)  # infinities of masks are exact
            z.add_(U32 * bound * _signs(z, self.generator))
        return out


@cache
def _rule(func: Any) -> tuple[Rule | None, bool]:
    """The rule of an operation, None where it is exact; and whether it works in place, on the arguments themselves."""
    name = func.overloadpacket.__name__
    rule = RULES.get(name, RULES.get(name.removesuffix("_")))
    if rule is None and name not in EXACT:
        raise NotImplementedError(f"no rule for the rounding of {name}")
    return rule, name not in RULES


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    signs = torch.randint(0, 2, like.shape, generator=generator, dtype=torch.int8).mul_(2).sub_(1).double()
    return torch.complex(signs, _signs(signs, generator)) if like.is_complex() else signs


# --- rules: the bound of an operation's rounding error, in units of u -------------------------------------------------


def _products(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """sqrt(n + 2) |W| |x|: the operation itself on absolute values."""
    name = func.overloadpacket.__name__
    n: int = args[1][0].numel() if name == "convolution" else args[1 if name in BIASED else 0].shape[-1] + 1
    out: Tensor = func(*(a.abs() if isinstance(a, Tensor) else a for a in args), **kwargs)
    return out * math.sqrt(n + 2)


def _means(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """sqrt(n + 2) times the mean or sum of |x|."""
    out: Tensor = func(args[0].abs(), *args[1:], **kwargs)
    return out * math.sqrt(args[0].numel() / z.numel() + 2)


def _length(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """sqrt of a sum of squares, which are all positive: half its sqrt(n + 2), and the root's own, are below that."""
    return z * math.sqrt(args[0].numel() / z.numel() + 2)


def _waves(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """sqrt(n + 2) times the sum of |x|: a Fourier transform sums n products with numbers of length 1."""
    x, dims = args[0].abs(), args[1]
    bound: Tensor = x.sum(dims, keepdim=True) * math.sqrt(math.prod(x.shape[d] for d in dims) + 2)
    return bound.expand(z.shape)


def _resampled(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """sqrt(n + 2) |w| |x|, and 2 for the weights, of a bicubic map that grows: 4 taps each way, their |w| at most 1.25.

    Keys, IEEE Trans. ASSP 29, 1981, equation 15, half way between two samples.
    """
    assert all(new >= old for new, old in zip(z.shape[2:], args[0].shape[2:], strict=True))
    most: Tensor = args[0].abs().amax((2, 3), keepdim=True) * 1.25**2
    return (most * (math.sqrt(16 + 2) + 2)).expand(z.shape)


def _windows(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    out: Tensor = func(args[0].abs(), *args[1:], **kwargs)
    return out * math.sqrt(math.prod(args[1]) + 2)


def _sum_of_two(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """|a| + |b| + |z|; 0 where all are whole numbers, as the masks of shifted windows are made, and for x - x."""
    a, b = (torch.as_tensor(x, dtype=z.dtype) for x in args[:2])
    b = b * kwargs.get("alpha", 1)
    whole = (a == a.round()) & (b == b.round())
    return torch.where(whole | (z == 0), 0, a.abs() + b.abs() + z.abs())


def _product_of_two(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """3 |z|; 0 where a factor is 1 or -1, as spikes and masks are."""
    a, b = (torch.as_tensor(x, dtype=z.dtype) for x in args[:2])
    return torch.where((a.abs() == 1) | (b.abs() == 1), 0, 3 * z.abs())


def _quotient(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """3 |z|; 0 where 1 or -1 divides."""
    return torch.where(torch.as_tensor(args[1]).abs() == 1, 0, 3 * z.abs())


def _between(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """a + w (b - a), three roundings of terms that |a| and |b| bound; w is in [0, 1]."""
    bound: Tensor = 4 * (args[0].abs() + args[1].abs())
    return bound


def _softmax(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """exp(x - max) over its sum: x - max is rounded, which changes exp by |x - max| u."""
    x: Tensor = args[0]
    dim: int = args[1]
    far = (x.amax(dim, keepdim=True) - x).where(z > 0, 0)
    return z * (math.sqrt(x.shape[dim]) + CURVE + 2 * far + 2 * (z * far).sum(dim, keepdim=True))


def _normalised(x: Tensor, dims: tuple[int, ...], scaling: tuple[Any, Any, float], z: Tensor) -> Tensor:
    """(x - m) / s * weight + bias; `scaling` is the weight, the bias and the epsilon.

    The mean's error is sqrt(n) mean |x| at most, a variance's is sqrt(n) kappa of it, kappa^2 = 1 + (mean x^2) / s^2
    (Chan, Golub and LeVeque, The American Statistician 37, 1983, Table 1), and half of that the deviation's.
    """
    (weight, bias, eps), n = scaling, math.prod(x.shape[d] for d in dims)
    m = x.mean(dims, keepdim=True)
    s = (x.var(dims, unbiased=False, keepdim=True) + eps).sqrt()
    kappa = (1 + x.square().mean(dims, keepdim=True) / s**2).sqrt()
    centre = math.sqrt(n + 2) * x.abs().mean(dims, keepdim=True) + 2 * (x.abs() + m.abs())
    bound = (centre + (x - m).abs() * (math.sqrt(n + 2) * kappa / 2 + 4)) / s
    bound = bound if weight is None else bound * weight.abs()
    return bound + 2 * z.abs() + (0 if bias is None else bias.abs())


def _layer_norm(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    x, shape, weight, bias, eps = args
    return _normalised(x, tuple(range(-len(shape), 0)), (weight, bias, eps), z)


def _group_norm(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    x, weight, bias, batch, channels, pixels, groups, eps = args
    shape = (batch, groups, channels // groups, pixels)
    weight, bias = (None if p is None else p.view(1, *shape[1:3], 1) for p in (weight, bias))
    return _normalised(x.reshape(shape), (2, 3), (weight, bias, eps), z.reshape(shape)).reshape(x.shape)


def _batch_norm(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """x a + (b - m a), a = weight / sqrt(var + eps): six roundings of each term at most."""
    x, weight, bias, mean, var, *_, eps = args
    a = (weight / (var + eps).sqrt()).abs()
    across = (1, -1, *(1 for _ in x.shape[2:]))
    bound: Tensor = x.abs() * a.view(across) + (mean.abs() * a + bias.abs()).view(across)
    return 6 * bound


def _times(roundings: int) -> Rule:
    """So many roundings of the result."""
    return lambda func, args, kwargs, z: roundings * z.abs()


def _by_input(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    """Curves that are x times a number of 0 to 1, which is rounded as 1 is."""
    x: Tensor = args[0]
    return CURVE * x.abs()


BIASED = ("addmm", "addmv", "baddbmm")
RULES: dict[str, Rule] = {
    **dict.fromkeys((*BIASED, "convolution", "mm", "bmm", "mv", "dot"), _products),
    **dict.fromkeys(("sum", "mean", "_adaptive_avg_pool2d"), _means),
    "linalg_vector_norm": _length,
    **dict.fromkeys(("add", "sub", "rsub"), _sum_of_two),
    "mul": _product_of_two,
    "div": _quotient,
    **dict.fromkeys(("sqrt", "rsqrt", "reciprocal", "pow", "exp", "sigmoid", "tanh", "sin", "cos"), _times(CURVE)),
    **dict.fromkeys(("gelu", "silu", "erf", "hardswish"), _by_input),
    **dict.fromkeys(("_softmax", "_safe_softmax"), _softmax),
    "lerp": _between,
    "_fft_c2c": _waves,
    "avg_pool2d": _windows,
    "_upsample_bicubic2d_aa": _resampled,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_batch_norm": _batch_norm,
}
EXACT = {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "t", "expand", "slice", "select",
    "index", "index_select", "gather", "cat", "stack", "split", "split_with_sizes", "unbind", "squeeze", "unsqueeze",
    "clone", "copy_", "detach", "alias", "lift_fresh", "lift_fresh_copy", "_to_copy", "roll", "flip", "repeat",
    "unfold", "as_strided", "constant_pad_nd", "relu", "relu_", "hardtanh", "hardtanh_", "clamp", "clamp_min",
    "max_pool2d_with_indices", "amax", "max", "neg", "abs", "where", "gt", "lt", "ge", "le", "eq", "ne", "any", "all",
    "logical_and", "logical_not", "bitwise_not", "zeros", "ones", "full", "fill_", "masked_fill", "arange", "empty",
    "empty_like", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty",
    "new_empty_strided", "scalar_tensor",
    "view_as_real", "index_copy", "sort", "scatter", "unsafe_split", "uniform_", "set_", "_local_scalar_dense",
    "promote_types", "as_strided_",
}  # fmt: skip
"""Operations that move, choose or compare numbers, or make integers."""
