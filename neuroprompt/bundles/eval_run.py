"""A run's accuracy in shards on an engine: each counts right answers on a part of the images, and counts add up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neuroprompt.bundles.shards import Shard, Split, words_of, write_arrays
from neuroprompt.progress import SILENT, Progress
from neuroprompt.robustness.noise import parse_noises
from neuroprompt.training.accuracy import Accuracy, Measured
from neuroprompt.training.commands import data_path
from neuroprompt.training.evaluation import accuracy_of, measure
from neuroprompt.training.run_files import BEST, PROMPT
from neuroprompt.training.run_folder import Run

RIGHT = "right"


def evaluate_in_shards(
    run: Run,
    engine: Split,
    noises: Sequence[str] = (),
    split: str = "test",
    *,
    ood: Sequence[str] = (),
    data: str | None = None,
    best: bool = False,
    weights: Path | None = None,
    progress: Progress = SILENT,
) -> Accuracy:
    """What `evaluate` measures of a run loaded with `best` and `weights`: batches are those of one run, and so the sum.

    Each shard has one thread. Raises BadSetting, BadData, WorkerFailed, and what the engine raises.
    """
    wanted = [str(noise) for noise in parse_noises(noises)]
    data = _absolute(data or run.config.data)
    weights = weights or (None if run.config.backbone.weights is None else Path(run.config.backbone.weights))
    options = {"noise": wanted, "ood": [_absolute(name) for name in ood], "split": split, "best": best}
    words = words_of("eval", run.folder, {**options, "weights": weights, "data": data})
    reads = [run.folder / (BEST if best else PROMPT), *([] if weights is None else [weights])]
    reads += [Path(place) for place in map(data_path, (data, *ood)) if place is not None]
    shards = engine.run(words, [path.resolve() for path in reads], engine.shards, progress)
    return accuracy_of(Measured.joined([shard[RIGHT].tolist() for shard in shards], wanted, ood))


def evaluate_shard(
    shard: Shard, run: Run, noises: Sequence[str], split: str, data: str | None = None, *, ood: Sequence[str] = ()
) -> None:
    """Count on one shard of the images, and write its file."""
    measured = measure(run, noises, split, data, ood=ood, shard=(shard.index, shard.count))
    write_arrays(shard.file, {RIGHT: np.array(measured.numbers(), np.int64)})


def _absolute(data: str) -> str:
    """The data set as a task names it that starts in another folder."""
    path = data_path(data)
    return data if path is None else f"{data.partition(':')[0]}:{Path(path).resolve()}"
