"""Accuracy, clean and under noise, on each split."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neuroprompt.checkpoint import Run
from neuroprompt.contracts import BackboneSpec
from neuroprompt.dataset import load_data
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.evaluation import evaluate
from neuroprompt.noise import Noise
from neuroprompt.training import configure, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tiny = BackboneSpec(random=True, image_size=16)
    config = configure(method="linear", backbone=tiny, limit=40, epochs=30, batch=20)
    return train(config, tmp_path_factory.mktemp("runs") / "a", accelerator="cpu")


def by_hand(run: Run, split: str, noise: str | None = None, seed: int = 0) -> float:
    data = load_data("digits", (16, 16), "bicubic", 0, limit=40)
    pictures = getattr(data, split)
    images, labels = zip(*(pictures[i] for i in range(len(pictures))), strict=True)
    shown = [image / 255 for image in images]
    if noise:
        shown = [Noise.parse(noise)(image, seed * 1_000_003 + i) for i, image in enumerate(shown)]
    with torch.no_grad():
        found = run.model(torch.stack(shown)).argmax(1)
    return int((found == torch.tensor(labels)).sum()) / len(pictures)


def test_accuracies_are_those_counted_by_hand(run: Run) -> None:
    result = evaluate(run, ["gaussian:0.2", "jpeg:25"])
    assert result == {
        "clean": by_hand(run, "test"),
        "noise": {"gaussian:0.2": by_hand(run, "test", "gaussian:0.2"), "jpeg:25": by_hand(run, "test", "jpeg:25")},
        "images": 40,
    }
    assert result["clean"] > 0.3


def test_splits(run: Run) -> None:
    assert evaluate(run, split="val")["clean"] == run.metrics["val_accuracy"]
    assert evaluate(run, split="train")["clean"] == by_hand(run, "train")


def test_noise_does_not_depend_on_the_batch(run: Run) -> None:
    noises = ["gaussian:0.2", "salt-pepper:0.1"]
    assert evaluate(run, noises, batch=7)["noise"] == evaluate(run, noises, batch=40)["noise"]
    assert evaluate(run, ["gaussian:0.5"], seed=1)["noise"] == {"gaussian:0.5": by_hand(run, "test", "gaussian:0.5", 1)}


def test_wrong_split_noise_and_data(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    with pytest.raises(BadSetting, match="split 'dev'"):
        evaluate(run, split="dev")
    with pytest.raises(BadSetting, match="gaussian:SIGMA"):
        evaluate(run, ["fog:1"])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{i}.png")
    with pytest.raises(BadData, match="classes a, b"):
        evaluate(run, data=f"folder:{tmp_path}")
