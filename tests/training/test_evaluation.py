"""Accuracy, clean, under noise and corruption, on each split and elsewhere; several seeds and their CSV."""

from __future__ import annotations

import csv
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from float_bounds import near
from PIL import Image

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.errors import BadData, BadSetting, CannotWrite
from neuroprompt.robustness.corruptions import PARAMETERS
from neuroprompt.robustness.noise import Noise
from neuroprompt.training.accuracy import Measured
from neuroprompt.training.config import configure
from neuroprompt.training.dataset import load_data
from neuroprompt.training.evaluation import accuracy_of, evaluate, measure
from neuroprompt.training.loop import train
from neuroprompt.training.run_folder import Run
from neuroprompt.training.seeds import COLUMNS, evaluate_seeds, save_csv


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tiny = BackboneSpec(random=True, image_size=16)
    config = configure(method="linear", backbone=tiny, limit=40, epochs=30, batch=20)
    return train(config, tmp_path_factory.mktemp("runs") / "a", accelerator="cpu")


def by_hand(run: Run, split: str, noise: str | None = None, seed: int = 0) -> float:
    data = load_data("digits", Preprocess((16, 16)), 0, limit=40)
    images = getattr(data, split)
    images, labels = zip(*(images[i] for i in range(len(images))), strict=True)
    shown = [image / 255 for image in images]
    if noise:
        shown = [Noise.parse(noise)(image, seed * 1_000_003 + i) for i, image in enumerate(shown)]
    with torch.no_grad():
        chosen = run.model(torch.stack(shown)).argmax(1)
    return int((chosen == torch.tensor(labels)).sum()) / len(images)


def test_accuracies_are_those_counted_by_hand(run: Run) -> None:
    result = evaluate(run, ["gaussian:0.2", "jpeg:25"])
    assert result.json() == {
        "clean": by_hand(run, "test"),
        "noise": {"gaussian:0.2": by_hand(run, "test", "gaussian:0.2"), "jpeg:25": by_hand(run, "test", "jpeg:25")},
        "images": 40,
    }
    assert result.clean > 0.3


@pytest.mark.parametrize(("count", "batch"), [(3, 7), (3, 20)])
def test_what_shards_count_adds_up(run: Run, count: int, batch: int) -> None:
    """Also where there are more shards than batches."""
    noises = ["gaussian:0.2"]
    parts = [measure(run, noises, batch=batch, shard=(k, count)).numbers() for k in range(count)]
    joined = Measured.joined(parts, noises, [])
    assert joined == measure(run, noises, batch=batch)
    assert accuracy_of(joined) == evaluate(run, noises, batch=batch)


def test_splits(run: Run) -> None:
    assert evaluate(run, split="val").clean == run.metrics.val_accuracy
    assert evaluate(run, split="train").clean == by_hand(run, "train")


def test_noise_does_not_depend_on_the_batch(run: Run) -> None:
    noises = ["gaussian:0.2", "salt-pepper:0.1"]
    assert evaluate(run, noises, batch=7).noise == evaluate(run, noises, batch=40).noise
    assert evaluate(run, ["gaussian:0.5"], seed=1).noise == {"gaussian:0.5": by_hand(run, "test", "gaussian:0.5", 1)}


def test_wrong_split_noise_and_data(run: Run, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="split 'dev'"):
        evaluate(run, split="dev")
    with pytest.raises(BadSetting, match="gaussian:SIGMA"):
        evaluate(run, ["fogg:1"])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{i}.png")
    with pytest.raises(BadData, match="classes a, b"):
        evaluate(run, data=f"folder:{tmp_path}")


def test_mean_corruption_accuracy_is_by_type_and_over_all(run: Run) -> None:
    result = evaluate(run, ["fog:1", "fog:5", "contrast:5", "gaussian:0.1"])
    noise = result.noise
    fog = (noise["fog:1"] + noise["fog:5"]) / 2
    assert result.json()["corruption"] == {
        "types": {"fog": fog, "contrast": noise["contrast:5"]},
        "mean": near((fog + noise["contrast:5"]) / 2),
    }
    assert noise["fog:5"] == by_hand(run, "test", "fog:5")


def test_all_of_imagenet_c(run: Run) -> None:
    few = dataclasses.replace(run, config=dataclasses.replace(run.config, limit=10))
    result = evaluate(few, ["imagenet-c"])
    assert result.images == 10
    assert len(result.noise) == 75
    assert result.corruption is not None
    assert list(result.corruption.types) == list(PARAMETERS)
    assert result.corruption.mean == near(sum(result.noise.values()) / 75, 75)
    assert result.corruption.mean < result.clean


# --- elsewhere -------------------------------------------------------------------------------------------------------


def elsewhere(folder: Path, *names: str, count: int = 6) -> Path:
    """Test digits of these names as PNG files, a folder each."""
    images = load_data("digits", Preprocess((16, 16)), 0).test
    for name in names:
        (folder / name).mkdir(parents=True)
        of_it = [i for i in range(len(images)) if str(images[i][1]) == name]  # type: ignore[arg-type]
        for i in of_it[:count]:
            Image.fromarray(images[i][0].permute(1, 2, 0).numpy()).save(folder / name / f"{i}.png")
    return folder


def logits_of(run: Run, folder: Path) -> tuple[torch.Tensor, list[str]]:
    files = sorted(folder.rglob("*.png"))
    images = torch.stack([torch.from_numpy(np.asarray(Image.open(f)).copy()).permute(2, 0, 1) / 255 for f in files])
    with torch.no_grad():
        return run.model(images), [f.parent.name for f in files]


def test_elsewhere_the_class_is_chosen_among_those_that_are_there(run: Run, tmp_path: Path) -> None:
    folder = elsewhere(tmp_path / "few", "1", "7", "8")
    name = f"folder:{folder}"
    measured = evaluate(run, ood=[name])
    logits, truth = logits_of(run, folder)
    masked = logits[:, [1, 7, 8]].argmax(1)
    expected = sum("178"[i] == t for i, t in zip(masked.tolist(), truth, strict=True)) / 18
    unmasked = sum(str(i) == t for i, t in zip(logits.argmax(1).tolist(), truth, strict=True)) / 18
    assert measured.json()["ood"] == {
        name: {"accuracy": expected, "images": 18, "classes": 3, "accuracy_all": unmasked}
    }
    assert expected > unmasked, "this run must confuse classes, or masking would not show"


def test_elsewhere_with_test_images_of_its_own_only_those_count(run: Run, tmp_path: Path) -> None:
    elsewhere(tmp_path / "two" / "train", "0", "1", count=4)
    elsewhere(tmp_path / "two" / "test", "0", "1", count=3)
    assert evaluate(run, ood=[f"folder:{tmp_path / 'two'}"]).ood[f"folder:{tmp_path / 'two'}"].images == 6


def test_a_class_that_the_run_does_not_know(run: Run, tmp_path: Path) -> None:
    folder = elsewhere(tmp_path / "strange", "1", "2")
    (folder / "2").rename(folder / "two")
    with pytest.raises(BadData, match="1 classes that the run was not trained on: two"):
        evaluate(run, ood=[f"folder:{folder}"])


def test_folders_of_numbers_are_classes_in_their_order(run: Run, tmp_path: Path) -> None:
    """As ImageNet-V2 comes, whose folders are 0 to 999 where ImageNet's are called n01440764, ..."""
    own = elsewhere(tmp_path / "own", *"0123456789")
    for folder in sorted(own.iterdir()):
        folder.rename(own / f"n{folder.name}")
    config = dataclasses.replace(run.config, data=f"folder:{own}", classes=tuple(f"n{i}" for i in range(10)))
    other = dataclasses.replace(run, config=config)
    name = f"folder:{elsewhere(tmp_path / 'v2', '1', '7', '8')}"
    assert evaluate(other, ood=[name]).ood == evaluate(run, ood=[name]).ood
    (tmp_path / "v2" / "8").rename(tmp_path / "v2" / "10")  # the run has no class 10
    with pytest.raises(BadData, match="3 classes that the run was not trained on: 1, 10, 7"):
        evaluate(other, ood=[name])


# --- seeds -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three(run: Run, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("seeds")
    others = [dataclasses.replace(run.config, seed=seed) for seed in (1, 2)]
    return [run, *(train(config, folder / str(config.seed), accelerator="cpu") for config in others)]


def test_mean_and_sample_deviation_over_seeds(three: list[Run]) -> None:
    result = evaluate_seeds(three, ["gaussian:0.2", "fog:3"])
    singles = [evaluate(run, ["gaussian:0.2", "fog:3"]) for run in three]
    assert result.json()["runs"] == [
        {"run": str(run.folder), "seed": seed, **single.json()}
        for seed, (run, single) in enumerate(zip(three, singles, strict=True))
    ]
    for name in ("gaussian:0.2", "fog:3"):
        accuracies = [single.noise[name] for single in singles]
        assert result.mean.noise[name] == near(sum(accuracies) / 3)
        assert result.std.noise[name] == statistics.stdev(accuracies)
    assert result.std.clean == statistics.stdev(single.clean for single in singles)
    assert set(result.json()["mean"]) == {"clean", "noise", "corruption"}


def test_runs_that_cannot_be_compared(three: list[Run]) -> None:
    with pytest.raises(BadSetting, match="same seed, 0"):
        evaluate_seeds([three[0], three[1], three[0]])
    with pytest.raises(BadSetting, match="1 runs; expected at least two"):
        evaluate_seeds(three[:1])
    changed: Any
    for key, value in (("method", "vpt-deep"), ("data", "folder:x"), ("head", "full"), ("lr", 0.5)):
        changed = {key: value}
        config = dataclasses.replace(three[1].config, **changed)
        with pytest.raises(BadSetting, match=f"differ in {key}: .* and {value}"):
            evaluate_seeds([three[0], dataclasses.replace(three[1], config=config)])
    wide = dataclasses.replace(three[1].config, backbone=dataclasses.replace(three[1].config.backbone, image_size=32))
    with pytest.raises(BadSetting, match=r"differ in backbone: .*16.*32"):
        evaluate_seeds([three[0], dataclasses.replace(three[1], config=wide)])


def test_csv_has_a_row_for_every_run_and_accuracy(three: list[Run], tmp_path: Path) -> None:
    name = f"folder:{elsewhere(tmp_path / 'few, indeed', '1', '7')}"
    seeds = evaluate_seeds(three[:2], ["jpeg:25"], ood=[name])
    assert seeds.json()["std"]["ood"][name] == {
        "accuracy": seeds.std.ood[name],
        "accuracy_all": seeds.std.ood_all[name],
    }
    results = [single.accuracy for single in seeds.runs]
    save_csv(three[:2], results, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(r["data"], r["seed"], r["noise"]) for r in rows] == [
        (data, seed, noise)
        for seed in "01"
        for data, noise in (("digits", "clean"), ("digits", "jpeg:25"), (name, "clean"))
    ]
    assert [float(r["accuracy"]) for r in rows[:3]] == [
        results[0].clean,
        results[0].noise["jpeg:25"],
        results[0].ood[name].accuracy,
    ]
    assert rows[0]["images"] == "40"
    assert {r["method"] + r["head"] + r["backbone"] for r in rows} == {"linearlinearembedded"}
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotWrite):
        save_csv(three[:2], results, tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "few, indeed", "folder"]
