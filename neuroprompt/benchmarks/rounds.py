"""Timing in rounds: every round runs all, in an order drawn anew, and only ratios within one round are compared."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from neuroprompt.progress import Progress

WARM_UP = 3


class Took(float):
    """Seconds that a run measured itself, where calling it takes longer than what is timed."""


@dataclass(frozen=True)
class Middle:
    """The median of several rounds, and the middle half of them: from the first to the third quartile."""

    median: float
    low: float
    high: float

    @property
    def quartiles(self) -> list[float]:
        """The first and the third."""
        return [self.low, self.high]

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


Middles = Mapping[str, Middle]


def middle(values: Sequence[float]) -> Middle:
    """Median and quartiles of at least one value."""
    if len(values) < 2:
        return Middle(values[0], values[0], values[0])
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return Middle(median, first, third)


def ratio(a: Sequence[float], b: Sequence[float]) -> Middle:
    """The seconds of `a` over those of `b`, round by round: what else the machine does meets both alike."""
    return middle([x / y for x, y in zip(a, b, strict=True)])


def medians(values: Middles) -> dict[str, float]:
    """Each one's median, for JSON."""
    return {name: value.median for name, value in values.items()}


def quartiles(values: Middles) -> dict[str, list[float]]:
    """Each one's first and third quartile, for JSON."""
    return {name: value.quartiles for name, value in values.items()}


def from_json(medians: Mapping[str, float], quartiles: Mapping[str, Sequence[float]]) -> dict[str, Middle]:
    """What `medians` and `quartiles` wrote."""
    return {name: Middle(median, *quartiles[name]) for name, median in medians.items()}


def in_turn(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    progress: Progress,
    clock: Callable[[], float] = time.perf_counter,
    *,
    at_least: float = 0.0,
) -> dict[str, list[float]]:
    """Seconds of every run in every round, by `clock`; the first rounds warm up and are not kept.

    `at_least`: seconds of a run's turn. It is called once untimed, then timed until so many seconds are over, and their
    mean counts: its weights are then in the caches, as where one model runs again and again, and not those of whatever
    ran before it. With 0 it is called once.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    order, draw = list(runs), random.Random(0)
    for i in progress.track(range(WARM_UP + rounds), "timing"):
        draw.shuffle(order)
        for name in order:
            if at_least:
                runs[name]()
            end, took = clock() + at_least, [_timed(runs[name], clock)]
            while clock() < end:
                took.append(_timed(runs[name], clock))
            if i >= WARM_UP:
                seconds[name].append(statistics.fmean(took))
    return seconds


def _timed(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    result = run()
    elapsed = clock() - start
    return float(result) if isinstance(result, Took) else elapsed
