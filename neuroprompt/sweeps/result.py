"""What a sweep found: accuracies of every group, and the paired differences of every two, seed by seed."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from neuroprompt.sweeps.plan import Plan
from neuroprompt.training.statistics import Interval, interval, paired

IMAGES = ("data", "limit")
"""Groups that differ in these were tested on other images: no pair."""


@dataclass(frozen=True)
class Mean:
    """The mean of n values in [0, 1] with its 95 % interval; None for what one value cannot have."""

    mean: float
    low: float | None
    high: float | None
    n: int
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """Of at least one value; see `neuroprompt.training.statistics.interval`."""
        if len(values) == 1:
            return cls(values[0], None, None, 1, None)
        return cls._from(interval(values))

    @classmethod
    def of_differences(cls, first: Mapping[int, float], second: Mapping[int, float]) -> Mean | None:
        """Of first - second over the seeds that both have; None where they share none."""
        shared = [seed for seed in first if seed in second]
        if len(shared) < 2:
            return cls.of([first[seed] - second[seed] for seed in shared]) if shared else None
        return cls._from(paired(first, second))

    @classmethod
    def _from(cls, of: Interval) -> Mean:
        return cls(of.mean, of.low, of.high, of.n, of.deviation)


@dataclass(frozen=True)
class Row:
    """A group of the table: the rate that was chosen, what it was chosen by, and test accuracies by metric and seed.

    A metric is "clean" or a noise.
    """

    name: str
    settings: Mapping[str, str]
    chosen: Mapping[str, str]
    validation: Mapping[str, float | None]
    accuracy: Mapping[str, Mapping[int, float]]

    @property
    def means(self) -> dict[str, Mean]:
        """The mean over seeds of each metric."""
        return {metric: Mean.of(list(of.values())) for metric, of in self.accuracy.items()}

    def json(self) -> dict[str, Any]:
        """All of it, with the means."""
        return {
            **dataclasses.asdict(self),
            "accuracy": {metric: {str(seed): v for seed, v in of.items()} for metric, of in self.accuracy.items()},
            "mean": {metric: dataclasses.asdict(mean) for metric, mean in self.means.items()},
        }


@dataclass(frozen=True)
class Pair:
    """Accuracy of `a` minus that of `b`, in [-1, 1], over the seeds that both have."""

    a: str
    b: str
    metric: str
    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Failed:
    """A cell that failed: what it said last, and its log."""

    cell: str
    error: str
    log: Path


@dataclass(frozen=True)
class Sweep:
    """A sweep in `out`: of `cells` trainings `done` are finished, and these failed; table and differences."""

    out: Path
    cells: int
    done: int
    failed: tuple[Failed, ...]
    table: tuple[Row, ...]
    pairs: tuple[Pair, ...]

    def json(self) -> dict[str, Any]:
        """All of it as JSON-able values."""
        return {
            "cells": self.cells,
            "done": self.done,
            "failed": [{"cell": f.cell, "error": f.error, "log": str(f.log)} for f in self.failed],
            "table": [row.json() for row in self.table],
            "pairs": [dataclasses.asdict(pair) for pair in self.pairs],
            "out": str(self.out),
        }


def gather(plan: Plan, failed: Sequence[Failed]) -> Sweep:
    """What stands in the sweep's folder; groups without one tested run are not in the table. Raises BadCheckpoint."""
    rows, cells = [], {cell.name: cell for cell in plan.searched}
    for group in plan.groups:
        point = plan.choice(group)
        if point is None:
            continue
        chosen = plan.chosen(group, point)
        cells |= {cell.name: cell for cell in chosen}
        tested = {cell.config.seed: cell.tested(plan.noises) for cell in chosen}
        accuracies = {seed: of for seed, of in tested.items() if of is not None}
        if accuracies:
            metrics = next(iter(accuracies.values()))
            by_metric = {metric: {seed: of[metric] for seed, of in accuracies.items()} for metric in metrics}
            rate = {key: value for key, value in point.settings.items() if key in plan.choose}
            rows.append(Row(group.name, group.settings, rate, plan.validation(group), by_metric))
    done = sum(cell.metrics is not None for cell in cells.values())
    return Sweep(plan.out, plan.count, done, tuple(failed), tuple(rows), tuple(_pairs(rows)))


def _pairs(rows: Sequence[Row]) -> list[Pair]:
    pairs = []
    for a, b in combinations(rows, 2):
        if any(a.settings.get(key) != b.settings.get(key) for key in IMAGES):
            continue
        for metric, values in a.accuracy.items():
            mean = Mean.of_differences(values, b.accuracy[metric])
            if mean is not None:
                pairs.append(Pair(a.name, b.name, metric, mean.mean, mean.low, mean.high, mean.n))
    return pairs


def spread(values: Sequence[float]) -> str:
    """Mean and sample deviation in per cent, as in a table."""
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.1f}{deviation}"
