"""What a sweep does, before it does it: its groups, the rates to choose from, and its cells."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuroprompt.contracts.specs import validation_share
from neuroprompt.errors import BadSetting
from neuroprompt.robustness.noise import parse_noises
from neuroprompt.sweeps.cells import Cell, Point
from neuroprompt.training.config import RunConfig

RATES = ("lr", "prompt-lr")
"""The settings that validation images choose; all others are compared."""


@dataclass(frozen=True)
class Group:
    """One row of the table: points that differ in their rates alone, of which validation images choose one."""

    name: str
    settings: Mapping[str, str]
    rates: tuple[Point, ...]


@dataclass(frozen=True)
class Plan:
    """A sweep in the folder `out`: every group with `seeds`, its rates searched with the first `search_seeds` of them.

    `launch` are options of `neuroprompt train` beside the configuration, such as ("--device", "cuda").
    """

    out: Path
    groups: tuple[Group, ...]
    seeds: tuple[int, ...]
    search_seeds: int
    noises: tuple[str, ...]
    choose: tuple[str, ...]
    launch: tuple[str, ...]

    @property
    def searched(self) -> list[Cell]:
        """The cells that choose the rates."""
        return [
            self._cell(point, seed)
            for seed in self.seeds[: self.search_seeds]
            for group in self.groups
            for point in group.rates
        ]

    def remaining(self, group: Group, point: Point) -> list[Cell]:
        """The group's cells at the chosen rate that did not search it."""
        return [self._cell(point, seed) for seed in self.seeds[self.search_seeds :]]

    def chosen(self, group: Group, point: Point) -> list[Cell]:
        """The group's cells at the chosen rate, one a seed: those that are tested."""
        return [self._cell(point, seed) for seed in self.seeds]

    @property
    def count(self) -> int:
        """How many cells are trained, whichever rates are chosen."""
        return len(self.searched) + len(self.groups) * (len(self.seeds) - self.search_seeds)

    def validation(self, group: Group) -> dict[str, float | None]:
        """Mean accuracy on validation images of each rate, by name; None before all its seeds are trained."""
        means: dict[str, float | None] = {}
        for point in group.rates:
            metrics = [self._cell(point, seed).metrics for seed in self.seeds[: self.search_seeds]]
            values = [m.val_accuracy for m in metrics if m is not None and m.val_accuracy is not None]
            means[self.rate_name(point)] = statistics.fmean(values) if len(values) == self.search_seeds else None
        return means

    def choice(self, group: Group) -> Point | None:
        """The rate with the best mean validation accuracy, the first of equal ones; None where none is trained yet."""
        if len(group.rates) == 1:
            return group.rates[0]
        means = self.validation(group)
        known = {self.rate_name(point): point for point in group.rates if means[self.rate_name(point)] is not None}
        return known[max(known, key=lambda name: means[name] or 0.0)] if known else None

    def rate_name(self, point: Point) -> str:
        """`lr=0.01`."""
        return ",".join(f"{key}={value}" for key, value in point.settings.items() if key in self.choose)

    def _cell(self, point: Point, seed: int) -> Cell:
        return Cell(self.out, point.settings, dataclasses.replace(point.config, seed=seed), self.launch)


def make_plan(
    points: Sequence[Point],
    out: Path | str,
    *,
    seeds: Sequence[int],
    search_seeds: int | None = None,
    noises: Sequence[str] = (),
    choose: Sequence[str] = RATES,
    launch: Sequence[str] = (),
) -> Plan:
    """The plan of `sweep`, whose arguments these are; raises BadSetting."""
    choose = tuple(key.replace("_", "-") for key in choose)
    points = [_settled(point) for point in points]
    names = [tuple(point.settings.items()) for point in points]
    if not points or not seeds:
        raise BadSetting(f"{len(points)} points with {len(seeds)} seeds", "at least one of each")
    if len(set(names)) < len(names) or len(set(seeds)) < len(seeds):
        raise BadSetting("a point or a seed twice in the grid", "each once")
    search = len(seeds) if search_seeds is None else search_seeds
    if not 1 <= search <= len(seeds):
        raise BadSetting(f"{search} seeds to choose the rates", f"1 to {len(seeds)}, of the seeds of the sweep")
    groups = _groups(points, choose)
    for group in groups:
        if len(group.rates) > 1 and validation_share(group.rates[0].config.val) == 0.0:
            got = f"{len(group.rates)} rates to choose from, and no image to validate with"
            raise BadSetting(got, "validation images", "leave out --val none, or give one rate")
    wanted = tuple(str(noise) for noise in parse_noises(noises))
    plan = Plan(Path(out).absolute(), groups, tuple(seeds), search, wanted, choose, tuple(launch))
    for cell in plan.searched:
        cell.check()
    return plan


def _groups(points: Sequence[Point], choose: Sequence[str]) -> tuple[Group, ...]:
    of: dict[tuple[tuple[str, str], ...], list[Point]] = {}
    for point in points:
        of.setdefault(tuple(item for item in point.settings.items() if item[0] not in choose), []).append(point)
    items: list[set[tuple[str, str]]] = [set(key) for key in of]
    kept = {key for key, _ in items[0].union(*items) - items[0].intersection(*items)}
    groups = []
    for key, members in of.items():
        differing = {name: value for name, value in key if name in kept} or dict(key)
        groups.append(Group(_name(differing, members[0].config), dict(key), tuple(members)))
    return tuple(groups)


def _name(settings: Mapping[str, str], config: RunConfig) -> str:
    """A group by what tells it from the others."""
    if len(settings) <= 1:
        return next(iter(settings.values()), config.method)
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _settled(point: Point) -> Point:
    """The point with option names as typed, and weights that every folder finds."""
    settings = {key.replace("_", "-"): value for key, value in point.settings.items()}
    backbone = point.config.backbone
    if backbone.weights is not None:
        backbone = dataclasses.replace(backbone, weights=str(Path(backbone.weights).resolve()))
    return Point(settings, dataclasses.replace(point.config, backbone=backbone))
