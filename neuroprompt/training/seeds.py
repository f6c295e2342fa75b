"""Several runs of one configuration that differ in their seed: mean and standard deviation, and all figures as CSV."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from neuroprompt.errors import BadSetting
from neuroprompt.files import write_whole
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.accuracy import Accuracy, SeedAccuracy, SeedsAccuracy, over
from neuroprompt.training.config import RunConfig
from neuroprompt.training.evaluation import evaluate
from neuroprompt.training.run_folder import Run

COLUMNS = ("run", "method", "head", "backbone", "data", "seed", "noise", "accuracy", "images")


def evaluate_seeds(
    runs: Sequence[Run],
    noises: Sequence[str] = (),
    split: str = "test",
    *,
    ood: Sequence[str] = (),
    by: Callable[[Run], Accuracy] | None = None,
    progress: Progress = SILENT,
) -> SeedsAccuracy:
    """What `evaluate` measures of every run (or `by`, in its place), and of all.

    The standard deviation is that of a sample, sqrt(sum (a - mean)^2 / (n - 1)). Raises BadSetting where there are
    fewer than two runs, or they differ in more than their seeds, and all that `evaluate` raises.
    """
    if len(runs) < 2:
        raise BadSetting(f"{len(runs)} runs", "at least two of different seeds")
    for run in runs[1:]:
        _comparable(runs[0], run)
    by_seed: dict[int, Run] = {}
    for run in runs:
        if run.config.seed in by_seed:
            got = f"{by_seed[run.config.seed].folder} and {run.folder} have the same seed, {run.config.seed}"
            raise BadSetting(got, "runs of different seeds", "train with another --seed, or leave one out")
        by_seed[run.config.seed] = run
    results = []
    for run in runs:
        progress.say(f"{run.folder} (seed {run.config.seed})")
        accuracy = evaluate(run, noises, split, ood=ood, progress=progress) if by is None else by(run)
        results.append(SeedAccuracy(str(run.folder), run.config.seed, accuracy))
    shares = [result.accuracy.shares for result in results]
    return SeedsAccuracy(tuple(results), over(shares, statistics.fmean), over(shares, statistics.stdev))


def save_csv(runs: Sequence[Run], results: Sequence[Accuracy], file: Path) -> None:
    """Write a row of COLUMNS for every accuracy of every run, whole or not at all; raises CannotWrite.

    `noise` is "clean" or a noise; a data set from elsewhere stands under its own name in `data`.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for run, result in zip(runs, results, strict=True):
        config = run.config
        about = (run.folder, config.method, config.head, config.backbone.name)
        for noise, accuracy in {"clean": result.clean, **result.noise}.items():
            rows.writerow((*about, config.data, config.seed, noise, accuracy, result.images))
        for data, other in result.ood.items():
            rows.writerow((*about, data, config.seed, "clean", other.accuracy, other.images))
    write_whole(file, text.getvalue().encode())


def _comparable(run: Run, other: Run) -> None:
    """Raises BadSetting where two runs differ in more than their seed."""
    ours, theirs = _described(run.config), _described(other.config)
    for key, value in ours.items():
        if theirs[key] != value:
            got = f"{run.folder} and {other.folder} differ in {key}: {value} and {theirs[key]}"
            raise BadSetting(got, "runs of one configuration with different seeds", "evaluate them one by one")


def _described(config: RunConfig) -> dict[str, Any]:
    values = config.json()
    backbone = {key: value for key, value in values.pop("backbone").items() if key != "weights"}  # the SHA-256 tells
    del values["seed"]
    return {**values, "backbone": backbone}
