"""Every float tolerance of the tests comes from here or from `net_bounds`: derived, never tuned.

u is the unit roundoff: 2^-53 in float64, 2^-24 in float32. Higham, Accuracy and Stability of Numerical Algorithms, 2nd
edition, is cited as Higham.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

U64, U32 = 2.0**-53, 2.0**-24
SIGMAS = 6
"""Standard errors that a drawn statistic may lie from its mean: passed by chance once in 5e8 for a normal law."""


def gamma(roundings: int, u: float = U64) -> float:
    """gamma_n = n u / (1 - n u): the largest relative change by n roundings (Higham, Lemma 3.1).

    It holds for products, quotients and sums of terms of one sign, in whatever order; count the roundings on the
    longest way from an input to the result.
    """
    assert roundings * u < 0.1, "the bound is for few roundings"
    return roundings * u / (1 - roundings * u)


def near(expected: float | Fraction | Sequence[float], roundings: int = 8, u: float = U64) -> Any:
    """What equals `expected` but for so many roundings on either side, with no absolute allowance: 2 gamma_n.

    The default is for formulas that are written out in a test: at most eight operations on the way to the result, and
    decimals that are rounded when they are read count as operations.
    """
    expected = float(expected) if isinstance(expected, Fraction) else expected
    return pytest.approx(expected, rel=2 * gamma(roundings, u), abs=0)


def dot(weights: Any, values: Any, more: int = 0, u: float = U64) -> Any:
    """How far two orders of summing W x may lie apart: 2 gamma_(n + more) |W| |x| (Higham, (3.5)).

    n products of which each meets at most n roundings, in any order and with any partial sums; `more` roundings follow
    or precede, as that of a bias or of a factor.
    """
    return 2 * gamma(np.shape(values)[0] + more, u) * (abs(weights) @ abs(values))


def sums(terms: Any, axis: int | None = None, more: int = 0, u: float = U64) -> Any:
    """How far two orders of summing `terms` may lie apart: 2 gamma_(n + more) of the sum of |terms| (Higham, (4.4))."""
    array: NDArray[np.float64] = np.abs(np.asarray(terms, dtype=np.float64))
    n = array.size if axis is None else array.shape[axis]
    return 2 * gamma(n + more, u) * array.sum(axis)


def of_training(before: Any, after: Any, steps: int, roundings: int = 2**14, u: float = U32) -> float:
    """How far two trainings by SGD may lie apart that sum the same gradients in other orders, `before` to `after`.

    A step rounds a parameter twice (the product with the rate, the sum). A gradient meets `roundings` roundings on its
    longest way forward and back, at most gamma of it; the default is for the embedded backbone: six blocks, whose sums
    of 128 to 512 terms and norms of 128 are some 1200 long together, there and back. To first order: what a small
    change of a parameter does to the next gradient is not in it, and cancellation in a gradient is not either, so the
    largest movement of all stands for each. AdamW will not do: it divides small gradients by themselves.
    """
    moved, size = float(abs(after - before).max()), float(abs(after).max())
    return 2 * gamma(roundings, u) * moved + 2 * gamma(2 * steps, u) * size


def of_mean(std: float, draws: int) -> float:
    """How far the mean of independent draws lies from what is expected: SIGMAS standard errors, std / sqrt(n)."""
    return SIGMAS * std / sqrt(draws)


def of_share(share: float, draws: int) -> float:
    """How far the share of hits lies from their chance p: SIGMAS standard errors, sqrt(p (1 - p) / n)."""
    return of_mean(sqrt(share * (1 - share)), draws)


def of_std(std: float, draws: int, kurtosis: float = 3.0) -> float:
    """How far a standard deviation lies from the law's: SIGMAS standard errors, std sqrt((kurtosis - 1) / (4 n)).

    The variance of a sample variance is std^4 (kurtosis - 1) / n for many draws, and half of its relative error is the
    root's; kurtosis is 3 for a normal law and 1.8 for a uniform one.
    """
    return of_mean(std * sqrt((kurtosis - 1) / 4), draws)
