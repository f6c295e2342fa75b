"""Paired statistics: the differences of two methods seed by seed, their mean, and its confidence interval."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit as student  # of scipy.stats, whose import takes a second

from neuroprompt.errors import BadData, BadSetting


@dataclass(frozen=True)
class Interval:
    """The mean of n values, and the range that holds the true mean with probability `level`.

    mean ± t s / sqrt(n), s the sample deviation and t the quantile (1 + level) / 2 of Student's distribution with
    n - 1 degrees of freedom. It assumes independent values from a normal distribution. The unit is that of the values.
    """

    mean: float
    low: float
    high: float
    n: int
    deviation: float
    level: float = 0.95

    def json(self) -> dict[str, Any]:
        """The fields."""
        return dataclasses.asdict(self)


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The t-interval of the mean of at least two values. Raises BadData, BadSetting."""
    if not 0 < level < 1:
        raise BadSetting(f"level {level}", "a probability between 0 and 1")
    if len(values) < 2 or not all(map(math.isfinite, values)):
        raise BadData(f"{len(values)} values {list(values)[:3]}", "at least two finite values for an interval")
    mean, deviation, n = statistics.fmean(values), statistics.stdev(values), len(values)
    half = float(student(n - 1, (1 + level) / 2)) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, deviation, level)


def paired(first: Mapping[int, float], second: Mapping[int, float], level: float = 0.95) -> Interval:
    """The t-interval of first - second over the seeds that both have. Raises BadData, BadSetting."""
    return interval([first[seed] - second[seed] for seed in first if seed in second], level)


def runs_to_resolve(difference: float, deviation: float, level: float = 0.95, most: int = 1000) -> int | None:
    """The least n at which an interval's half width falls below |difference|, at this deviation; None: above `most`.

    A guide to how many seeds a verdict needs, where mean and deviation stay as they are.
    """
    for n in range(2, most + 1):
        if float(student(n - 1, (1 + level) / 2)) * deviation < abs(difference) * math.sqrt(n):
            return n
    return None
