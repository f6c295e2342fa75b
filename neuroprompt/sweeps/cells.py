"""The points of a grid, and its cells: each a run folder, its test accuracies and its logs."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from neuroprompt.contracts.work import Task
from neuroprompt.errors import BadSetting
from neuroprompt.training.commands import data_path, train_command
from neuroprompt.training.config import RunConfig, configure
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_files import METRICS, is_finished, load_config, load_metrics

CLEAN = "clean"
LONGEST = 120
"""Characters of a file's name."""


@dataclass(frozen=True)
class Point:
    """A point of a grid: the settings that name it, as a user types them, and its configuration.

    The seed of the configuration does not matter: a sweep sets it.
    """

    settings: Mapping[str, str]
    config: RunConfig


def grid(base: RunConfig, **values: Sequence[Any]) -> list[Point]:
    """Every combination of `values`, lists by a field of RunConfig, with the rest of `base`.

    Raises BadSetting, UnknownName.
    """
    fields = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
    points = []
    for combination in product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        config = configure(**{**fields, **chosen})
        points.append(Point({key: str(value) for key, value in chosen.items()}, config))
    return points


@dataclass(frozen=True)
class Cell:
    """One run of a sweep in the folder `out`: a point with a seed. `launch` are options beside the configuration."""

    out: Path
    settings: Mapping[str, str]
    config: RunConfig
    launch: tuple[str, ...] = ()

    @cached_property
    def name(self) -> str:
        """Its settings and seed as a file's name."""
        words = [*(f"{key}={value}" for key, value in self.settings.items()), f"seed={self.config.seed}"]
        text = ",".join(words)
        plain = re.sub(r"[^\w.,=+-]", "_", text)
        if plain == text and len(text) <= LONGEST:
            return text
        return f"{plain[: LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.out / "runs" / self.name

    @property
    def log(self) -> Path:
        """What its commands print."""
        return self.out / "logs" / f"{self.name}.log"

    @property
    def test(self) -> Path:
        """What `eval --csv` measures of it."""
        return self.out / "tests" / f"{self.name}.csv"

    def check(self) -> None:
        """Raise BadSetting where the run folder holds a run of another configuration; BadCheckpoint."""
        earlier = load_config(self.run)
        if earlier is None:
            return
        settled = {"classes": earlier.classes, "weights_sha256": earlier.weights_sha256, "precision": earlier.precision}
        ours = dataclasses.replace(self.config, **settled).json()  # type: ignore[arg-type]
        for key, theirs in earlier.json().items():
            if ours[key] != theirs:
                got = f"{self.run} has another {key}: {theirs} there, {ours[key]} here"
                raise BadSetting(got, "the options that the sweep was begun with", "choose another --out")

    @property
    def metrics(self) -> TrainingMetrics | None:
        """What training measured, None before its end; raises BadCheckpoint."""
        return load_metrics(self.run) if is_finished(self.run) else None

    def tested(self, noises: Sequence[str]) -> dict[str, float] | None:
        """Test accuracies, clean and under `noises`, in this order; None where they are not measured yet."""
        if not is_finished(self.run) or not self.test.is_file():
            return None
        if self.test.stat().st_mtime_ns < (self.run / METRICS).stat().st_mtime_ns:  # of a run that was there before
            return None
        rows = csv.DictReader(io.StringIO(self.test.read_text()))
        shares = {row["noise"]: float(row["accuracy"]) for row in rows}
        wanted = (CLEAN, *noises)
        return {name: shares[name] for name in wanted} if shares.keys() >= set(wanted) else None

    def train_task(self) -> Task:
        """The command that trains it."""
        words = (*shlex.split(train_command(self.config))[1:], *self.launch, "--out", str(self.run))
        weights, data = self.config.backbone.weights, data_path(self.config.data)
        reads = tuple(Path(path) for path in (weights, data) if path is not None)
        return Task(self.name, words, self.run / METRICS, self.log, self.run, reads)

    def test_task(self, noises: Sequence[str]) -> Task:
        """The command that tests it."""
        of_noises = [word for noise in noises for word in ("--noise", noise)]
        words = ("eval", str(self.run), *of_noises, "--csv", str(self.test))
        return Task(self.name, words, self.test, self.log, self.test.with_suffix(""), (self.run,))
