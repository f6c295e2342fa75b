"""Early stop, the best epoch beside the last, logs through Fabric's loggers, and the learning curve."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadCheckpoint, BadSetting
from neuroprompt.progress import Progress
from neuroprompt.report.course import draw_course
from neuroprompt.training.config import RunConfig, configure
from neuroprompt.training.evaluation import evaluate
from neuroprompt.training.loop import train
from neuroprompt.training.metrics import Epoch
from neuroprompt.training.run_folder import Run
from neuroprompt.training.stopping import best_epoch, out_of_patience

T = TypeVar("T")


def history(*accuracies: float | None) -> list[Epoch]:
    return [Epoch(i, 1.0, accuracy) for i, accuracy in enumerate(accuracies, 1)]


def test_the_best_epoch_is_the_first_of_the_highest() -> None:
    assert best_epoch(history()) is None
    assert best_epoch(history(None, None)) is None
    best = best_epoch(history(0.1, 0.5, 0.3, 0.5))
    assert best is not None
    assert best.epoch == 2
    zero = best_epoch(history(0.0, 0.0))
    assert zero is not None
    assert zero.epoch == 1


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5]), min_size=1, max_size=12), st.integers(1, 4))
def test_patience_ends_where_no_epoch_is_better_than_all_before_it(accuracies: list[float], patience: int) -> None:
    """By hand: the last `patience` epochs are none of them above everything before them."""
    before, last = accuracies[:-patience], accuracies[-patience:]
    expected = bool(before) and max(last) <= max(before)
    assert out_of_patience(patience, history(*accuracies)) == expected
    assert not out_of_patience(None, history(*accuracies))


def config(**options: object) -> RunConfig:
    few = {"limit": 30, "epochs": 6, "batch": 8, "method": "linear", "val": "0.3"}
    return configure(**{**few, "backbone": BackboneSpec(random=True, image_size=16), **options})


def test_a_run_without_progress_ends_early_and_is_finished(tmp_path: Path) -> None:
    stuck = config(lr=1e-12, patience=2)
    run = train(stuck, tmp_path / "run", accelerator="cpu")
    assert run.metrics.finished
    assert run.metrics.epochs == 3  # the first, and two that are no better
    assert not (tmp_path / "run" / "state.safetensors").exists()
    again = train(stuck, tmp_path / "run", accelerator="cpu")
    assert again.metrics.history == run.metrics.history


def test_the_best_epoch_is_kept_beside_the_last(tmp_path: Path) -> None:
    run = train(config(best=True, lr=0.3), tmp_path / "run", accelerator="cpu")
    best = best_epoch(run.metrics.history)
    assert best is not None
    kept = Run.load(tmp_path / "run", best=True)
    assert evaluate(kept, split="val").clean == best.val_accuracy
    assert evaluate(run, split="val").clean == run.metrics.val_accuracy
    plain = train(config(lr=0.3), tmp_path / "plain", accelerator="cpu")
    assert all(
        torch.equal(a, b) for a, b in zip(run.model.head.parameters(), plain.model.head.parameters(), strict=True)
    )
    with pytest.raises(BadCheckpoint, match="--best"):
        Run.load(tmp_path / "plain", best=True)


@pytest.mark.parametrize("options", [{"patience": 2}, {"best": True}])
def test_what_needs_validation_images_says_so(options: dict[str, object]) -> None:
    with pytest.raises(BadSetting, match="--val"):
        config(val="none", **options)


class Interrupted(Progress):
    """Ctrl-C in the second epoch."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        for item in items:
            if what.startswith("epoch 2"):
                raise KeyboardInterrupt
            yield item


def test_a_csv_log_holds_every_epoch_once(tmp_path: Path) -> None:
    logged = config(epochs=3)
    with pytest.raises(KeyboardInterrupt):
        train(logged, tmp_path / "run", Interrupted(), accelerator="cpu", log="csv")
    run = train(logged, tmp_path / "run", accelerator="cpu", log="csv")
    with (tmp_path / "run" / "logs" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["step"]), float(row["train_loss"]), float(row["val_accuracy"])) for row in rows] == [
        (epoch.epoch, epoch.train_loss, epoch.val_accuracy) for epoch in run.metrics.history
    ]


def test_a_tensorboard_log_holds_every_epoch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    run = train(config(epochs=2), tmp_path / "run", accelerator="cpu", log="tensorboard")
    (events,) = (tmp_path / "run" / "logs").glob("events*")
    data = events.read_bytes()
    assert data.count(b"train_loss") == data.count(b"val_accuracy") == run.metrics.epochs


def test_other_logs_and_counts_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="csv, tensorboard"):
        train(config(), tmp_path / "run", log="wandb")
    with pytest.raises(BadSetting, match="workers"):
        train(config(), tmp_path / "run", workers=-1)


def test_the_learning_curve_is_the_same_file_each_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_course(history(0.1, None, 0.5), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"validation accuracy" in (tmp_path / "a.svg").read_bytes()
    draw_course([], tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()
