"""What evaluation measures, of one run and over several seeds; every accuracy is a share in [0, 1]."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Right:
    """How many of `images` are right: where only their set's `classes` are chosen (0: all), and where any is."""

    masked: int
    unmasked: int
    images: int
    classes: int = 0


@dataclass(frozen=True)
class Measured:
    """What evaluation counts: on clean images, under each noise, and on each data set from elsewhere."""

    clean: Right
    noise: Mapping[str, Right] = field(default_factory=dict)
    ood: Mapping[str, Right] = field(default_factory=dict)

    def numbers(self) -> list[list[int]]:
        """The counts, a row for each, in the order of the fields."""
        return [list(dataclasses.astuple(right)) for right in (self.clean, *self.noise.values(), *self.ood.values())]

    @classmethod
    def joined(cls, shards: Sequence[Sequence[Sequence[int]]], noises: Sequence[str], ood: Sequence[str]) -> Measured:
        """All images, of the `numbers` of each shard and the names that each counted."""
        rights = [
            Right(sum(row[0] for row in rows), sum(row[1] for row in rows), *rows[0][2:])
            for rows in zip(*shards, strict=True)
        ]
        of_noise = dict(zip(noises, rights[1 : 1 + len(noises)], strict=True))
        return cls(rights[0], of_noise, dict(zip(ood, rights[1 + len(noises) :], strict=True)))


@dataclass(frozen=True)
class Corruption:
    """Accuracy under ImageNet-C's corruptions: the mean of each type over its severities, and of all types.

    Of plain accuracies, while the paper's mCE divides errors by AlexNet's.
    """

    types: Mapping[str, float]
    mean: float


@dataclass(frozen=True)
class Elsewhere:
    """Accuracy on a data set from elsewhere: `images` of `classes` of the run's classes.

    `accuracy` chooses among the set's classes alone, `accuracy_all` among all that the run was trained on.
    """

    accuracy: float
    images: int
    classes: int
    accuracy_all: float


@dataclass(frozen=True)
class Accuracies:
    """Every accuracy of a run (or their mean, or deviation): `noise`, `ood` and `ood_all` by name."""

    clean: float
    noise: Mapping[str, float] = field(default_factory=dict)
    corruption: Corruption | None = None
    ood: Mapping[str, float] = field(default_factory=dict)
    ood_all: Mapping[str, float] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As JSON-able values, without what was not asked for."""
        elsewhere = {name: {"accuracy": a, "accuracy_all": self.ood_all[name]} for name, a in self.ood.items()}
        return _without_empty(
            {"clean": self.clean, "noise": dict(self.noise), "corruption": self.corruption, "ood": elsewhere}
        )


@dataclass(frozen=True)
class Accuracy:
    """What `evaluate` measures: accuracy on `images` clean images, under each noise, and on data from elsewhere."""

    clean: float
    noise: Mapping[str, float]
    images: int
    corruption: Corruption | None = None
    ood: Mapping[str, Elsewhere] = field(default_factory=dict)

    @property
    def shares(self) -> Accuracies:
        """The accuracies alone."""
        elsewhere = {name: other.accuracy for name, other in self.ood.items()}
        of_all = {name: other.accuracy_all for name, other in self.ood.items()}
        return Accuracies(self.clean, self.noise, self.corruption, elsewhere, of_all)

    def json(self) -> dict[str, Any]:
        """As JSON-able values, without what was not asked for."""
        elsewhere = {name: dataclasses.asdict(other) for name, other in self.ood.items()}
        return _without_empty(
            {
                "clean": self.clean,
                "noise": dict(self.noise),
                "images": self.images,
                "corruption": self.corruption,
                "ood": elsewhere,
            }
        )


@dataclass(frozen=True)
class SeedAccuracy:
    """One run of several: its folder, its seed and what `evaluate` measures."""

    run: str
    seed: int
    accuracy: Accuracy

    def json(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {"run": self.run, "seed": self.seed, **self.accuracy.json()}


@dataclass(frozen=True)
class SeedsAccuracy:
    """Runs that differ in their seed, with mean and sample standard deviation of every accuracy."""

    runs: tuple[SeedAccuracy, ...]
    mean: Accuracies
    std: Accuracies

    def json(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {"runs": [run.json() for run in self.runs], "mean": self.mean.json(), "std": self.std.json()}


def over(results: Sequence[Accuracies], statistic: Callable[[list[float]], float]) -> Accuracies:
    """`statistic` of every accuracy over results of the same noises and data sets."""

    def of(values: Callable[[Accuracies], Mapping[str, float]]) -> dict[str, float]:
        return {name: statistic([values(result)[name] for result in results]) for name in values(results[0])}

    corruptions = [result.corruption for result in results if result.corruption is not None]
    corruption = None
    if corruptions:
        types = {name: statistic([c.types[name] for c in corruptions]) for name in corruptions[0].types}
        corruption = Corruption(types, statistic([c.mean for c in corruptions]))
    clean = statistic([result.clean for result in results])
    elsewhere = of(lambda result: result.ood), of(lambda result: result.ood_all)
    return Accuracies(clean, of(lambda result: result.noise), corruption, *elsewhere)


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    corruption, elsewhere = values.pop("corruption"), values.pop("ood")
    values |= {"corruption": dataclasses.asdict(corruption)} if corruption is not None else {}
    return values | ({"ood": elsewhere} if elsewhere else {})
