"""Several runs of one configuration that differ in their seed: mean and standard deviation, and all figures as CSV."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from neuroprompt.errors import BadSetting
from neuroprompt.files import write_whole
from neuroprompt.progress import SILENT, Progress
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
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """{"runs": [...], "mean": {...}, "std": {...}}: what `evaluate` says of every run, and of all.

    An entry of "runs" is `evaluate`'s result with "run" (its folder) and "seed"; "mean" and "std" have the accuracies
    of that result. std is that of a sample, sqrt(sum (a - mean)^2 / (n - 1)). Raises BadSetting where there are fewer
    than two runs, or they differ in more than their seeds, and all that `evaluate` raises.
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
        found = evaluate(run, noises, split, ood=ood, progress=progress)
        results.append({"run": str(run.folder), "seed": run.config.seed, **found})
    return {
        "runs": results,
        "mean": _over(results, statistics.fmean),
        "std": _over(results, statistics.stdev),
    }


def save_csv(runs: Sequence[Run], results: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Write a row of COLUMNS for every accuracy of every run, whole or not at all; raises CannotWrite.

    `noise` is "clean" or a noise; a data set from elsewhere stands under its own name in `data`.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for run, result in zip(runs, results, strict=True):
        config = run.config
        about = (run.folder, config.method, config.head, config.backbone.name)
        accuracies = {"clean": result["clean"], **result["noise"]}
        for noise, accuracy in accuracies.items():
            rows.writerow((*about, config.data, config.seed, noise, accuracy, result["images"]))
        for data, found in result.get("ood", {}).items():
            rows.writerow((*about, data, config.seed, "clean", found["accuracy"], found["images"]))
    write_whole(file, text.getvalue().encode())


def _comparable(one: Run, other: Run) -> None:
    """Raises BadSetting where two runs differ in more than their seed."""
    mine, theirs = _described(one.config), _described(other.config)
    for key, value in mine.items():
        if theirs[key] != value:
            got = f"{one.folder} and {other.folder} differ in {key}: {value} and {theirs[key]}"
            raise BadSetting(got, "runs of one configuration with different seeds", "evaluate them one by one")


def _described(config: RunConfig) -> dict[str, Any]:
    values = config.json()
    backbone = {key: value for key, value in values.pop("backbone").items() if key != "weights"}  # the SHA-256 tells
    del values["seed"]
    return {**values, "backbone": backbone}


def _over(results: Sequence[Mapping[str, Any]], statistic: Callable[[list[float]], float]) -> dict[str, Any]:
    """`statistic` of every accuracy, which are the floats of a result, in the result's own shape."""
    found: dict[str, Any] = {}
    for key, value in results[0].items():
        of_all = [result[key] for result in results]
        if isinstance(value, Mapping):
            found[key] = _over(of_all, statistic)
        elif isinstance(value, float):
            found[key] = statistic(of_all)
    return found
