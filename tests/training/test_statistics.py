"""Paired intervals against scipy's own tests, and on values whose interval is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
from float_bounds import gamma
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neuroprompt.errors import BadData, BadSetting
from neuroprompt.training.statistics import interval, paired, runs_to_resolve

ROOM = 2 * 701 * gamma(32)
"""Mean and deviation of at most 12 numbers up to 1 are within gamma of theirs; t is below 700, the same for both."""
SHARES = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(lambda counts: len(set(counts)) > 1)


@given(SHARES, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_an_interval_is_that_of_scipys_t_test(counts: list[int], level: float) -> None:
    values = [count / 1000 for count in counts]
    ours, theirs = interval(values, level), stats.ttest_1samp(values, 0.0).confidence_interval(level)
    # SciPy promises no digits of its quantiles, and takes another at either end; nine are enough.
    assert abs(ours.low - theirs.low) <= ROOM + 1e-9 * abs(theirs.low)
    assert abs(ours.high - theirs.high) <= ROOM + 1e-9 * abs(theirs.high)
    assert ours.n == len(values)


def test_differences_are_paired_by_seed() -> None:
    first, second = {0: 0.5, 1: 0.75, 2: 0.25}, {2: 0.0, 1: 0.25, 0: 0.25, 7: 1.0}
    difference = paired(first, second)
    theirs: Any = stats.ttest_rel([0.5, 0.75, 0.25], [0.25, 0.25, 0.0]).confidence_interval(0.95)
    assert difference.n == 3
    assert abs(difference.low - theirs.low) <= ROOM
    assert abs(difference.high - theirs.high) <= ROOM
    assert difference.json() == interval([0.25, 0.5, 0.25]).json()


def test_two_values_a_known_interval() -> None:
    """With one degree of freedom t is tan(pi 0.475): of 0 and 2 the half width is t sqrt(2) / sqrt(2)."""
    of = interval([0.0, 2.0])
    half = math.tan(math.pi * 0.475)
    assert abs(of.high - of.mean - half) <= 1e-9 * half  # SciPy promises no digits of its quantiles; nine are enough
    assert of.mean == 1.0


def test_equal_values_leave_no_doubt() -> None:
    of = interval([0.25, 0.25, 0.25])
    assert (of.low, of.mean, of.high, of.deviation) == (0.25, 0.25, 0.25, 0.0)


@given(st.floats(0.05, 5), st.floats(0.1, 3))
def test_runs_to_resolve_is_the_least_number(difference: float, deviation: float) -> None:
    def half(n: int) -> float:
        return float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)

    n = runs_to_resolve(difference, deviation)
    if n is None:
        assert half(1000) >= difference * (1 - 1e-9)
    else:
        assert half(n) <= difference * (1 + 1e-9)
        assert n == 2 or half(n - 1) >= difference * (1 - 1e-9)


def test_no_difference_is_never_resolved() -> None:
    assert runs_to_resolve(0.0, 1.0) is None


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan]])
def test_too_few_values(values: list[float]) -> None:
    with pytest.raises(BadData, match="at least two"):
        interval(values)


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_levels_that_cannot_be(level: float) -> None:
    with pytest.raises(BadSetting, match="level"):
        interval([1.0, 2.0], level)
