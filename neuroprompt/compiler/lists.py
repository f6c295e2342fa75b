"""Lists: weights as the chip's lists of synapses, one of 8 bits, or several that add up to more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuroprompt.loihi.arithmetic import EXPONENTS, Array
from neuroprompt.loihi.synapses import stored
from neuroprompt.spiking.program import Projection
from neuroprompt.spiking.weights import Weights

ONE_SIGN, MIXED = 255, 254
"""The largest weights that the chip stores: of one sign, and beside the other sign, where they are even."""
FINEST = 7
"""Most bits that a second list adds: what it holds lies below the step of the first, 2 << 7, and must fit 8 bits."""

WIDEST = 16
"""Bits with their sign of the widest weights, MIXED << FINEST."""


@dataclass(frozen=True)
class Precision:
    """What exponents a list may have, from `least` to `most`, and the `finer` bits that a second list adds (0: none).

    Sums of spikes have whole weights as they are, or larger ones; sums of numbers may be shifted right as well, since
    their products are large.
    """

    least: int = 0
    most: int = 0
    finer: int = 0


PLAIN, SHIFTED, ANY = Precision(), Precision(0, EXPONENTS[1]), Precision(*EXPONENTS)


@dataclass(frozen=True)
class Lists:
    """One projection as lists of integers.

    `exact` are the weights in integer units, with fractions; `whole` those that the lists hold together; `changed` how
    many of them clipping changed beside rounding. A unit is 2^exponent.
    """

    projections: tuple[Projection, ...]
    exact: Array
    whole: Array
    changed: int = 0
    exponent: int = 0


def integer_lists(projection: Projection, factor: float, precision: Precision, *, keep_odd: bool = False) -> Lists:
    """Weights times `factor`, rounded, with the smallest exponent with which they fit; what still does not is clipped.

    Two lists W = (high << finer) + low, low >= 0 below the step of high, have the exponents e + finer and e. `keep_odd`
    leaves whole numbers as they are, so that odd ones beside the other sign can be refused.
    """
    exact = projection.weights.values * factor
    exponent = _exponent(exact, precision)
    exact = exact / 2.0**exponent
    if precision.finer:
        return two_lists(projection, exact, exponent, precision.finer)
    rounded_weights = projection.weights.with_values(rounded(exact, keep_odd=keep_odd))
    weights = stored(rounded_weights)
    changed = int((weights.values != rounded_weights.values).sum())
    lists = (replace(projection, weights=weights, exponent=exponent),)
    return Lists(lists, exact, rounded_weights.values, changed, exponent)


def rounded(exact: NDArray[np.float64], *, keep_odd: bool = False) -> NDArray[np.float64]:
    """Whole numbers, even ones where signs are mixed."""
    whole = np.rint(exact)
    if not mixed(exact) or (keep_odd and np.array_equal(whole, exact)):
        return whole
    return 2 * np.rint(exact / 2)


def mixed(weights: Array) -> bool:
    """Whether some weights are below and some above 0."""
    return bool(weights.min(initial=0) < 0 < weights.max(initial=0))


def two_lists(projection: Projection, exact: Array, exponent: int, finer: int) -> Lists:
    """Weights as W = (high << finer) + low, low >= 0 below the step of high."""
    step = 2 if mixed(exact) else 1
    whole = np.rint(exact)
    high = np.clip(step * np.floor(whole / (step << finer)), -MIXED if step == 2 else -ONE_SIGN, ONE_SIGN + 1 - step)
    low = whole - high * 2**finer
    kept = np.clip(low, 0, ONE_SIGN)
    lists = tuple(
        replace(projection, weights=_without_zeros(projection.weights.with_values(values.astype(np.int32))), exponent=e)
        for values, e in ((high, exponent + finer), (kept, exponent))
        if values.any() or (e == exponent and not high.any())
    )
    return Lists(lists, exact, high * 2**finer + kept, int((low != kept).sum()), exponent)


def sign_lists(projection: Projection, exact: Array, whole: Array, bits: int = WIDEST) -> Lists:
    """Whole weights as W = (high << e) + above - below: a list of each sign, and one for those beyond 8 bits.

    Only a weight beyond 8 bits has an entry in `high`, and often no other, so that a few large weights let all others
    be finer at the cost of a few synapses. Weights that are one to one stay so. What does not fit so many `bits`, with
    the sign, is clipped, and counted; from 9 on all that do are held exactly.
    """
    step = 2 if mixed(whole) else 1
    most = MIXED << (bits - 9)
    kept = np.clip(whole, -most, most)
    largest = float(np.abs(kept).max(initial=0))
    exponent = min(max(1, int(np.ceil(np.log2(max(largest, 1.0) / MIXED) - 1e-9))), FINEST)
    high = np.where(np.abs(kept) > ONE_SIGN, step * np.rint(kept / (step << exponent)), 0.0)
    low = kept - high * 2**exponent
    held = high * 2**exponent + low
    parts = [(high, exponent)] * bool(high.any())
    if projection.weights.is_one_to_one and mixed(low) and not np.any(low % 2):
        parts.append((low, 0))
    else:
        parts += [(values, 0) for values in (np.maximum(low, 0), np.minimum(low, 0)) if values.any()]
    lists = tuple(
        replace(projection, weights=_only(projection.weights, values.astype(np.int32)), exponent=e)
        for values, e in parts or [(low, 0)]
    )
    return Lists(lists, exact, held, int((held != whole).sum()))


def _only(weights: Weights, values: NDArray[np.int32]) -> Weights:
    """The form with these numbers; a matrix that is mostly zeros becomes sparse rows."""
    if weights.is_one_to_one or np.count_nonzero(values) == values.size:
        return weights.with_values(values)
    rows = weights.with_values(values).rows()
    rows.eliminate_zeros()
    return Weights(rows)


def _without_zeros(weights: Weights) -> Weights:
    if not weights.is_sparse:
        return weights
    rows = weights.rows()
    rows.eliminate_zeros()
    return Weights(rows)


def _exponent(exact: Array, precision: Precision) -> int:
    """The smallest exponent with which the heaviest weight fits the first list."""
    heaviest = float(np.abs(exact).max(initial=0))
    if not heaviest:
        return max(0, precision.least)
    needed = int(np.ceil(np.log2(heaviest / (MIXED if mixed(exact) else ONE_SIGN)) - 1e-9)) - precision.finer
    return min(max(precision.least, needed), precision.most - precision.finer)
