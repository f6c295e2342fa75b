"""The verb eval: clean images, noise, corruptions, other data, shards, several seeds; what scripts rely on."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from float_bounds import near
from in_turn import InTurn
from PIL import Image

from neuroprompt.bundles.shards import Split
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.training.dataset import load_data

Command = Callable[..., Any]


def test_eval_gives_clean_and_noise(command: Command, trained: Path) -> None:
    result = command("eval", trained, "--noise", "gaussian:0.1", "--noise", "jpeg:25", "--json")
    assert result.code == 0
    assert 0 <= result.json["clean"] <= 1
    assert set(result.json["noise"]) == {"gaussian:0.1", "jpeg:25"}


def test_eval_without_corruptions_or_other_data_has_the_keys_it_always_had(command: Command, trained: Path) -> None:
    assert set(command("eval", trained, "--json").json) == {"clean", "noise", "images"}


def digits_in_folders(folder: Path, *names: str) -> Path:
    images = load_data("digits", Preprocess((16, 16)), 0).test
    for i in range(60):
        image, label = images[i]
        if str(label) in names:
            (folder / str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / str(label) / f"{i}.png")
    return folder


def test_eval_of_corruptions_elsewhere_and_a_csv(command: Command, trained: Path, tmp_path: Path) -> None:
    name = f"folder:{digits_in_folders(tmp_path / 'few', '3', '5')}"
    noises = ("--noise", "contrast:1", "--noise", "contrast:5", "--noise", "jpeg:25")
    words = ("eval", trained, *noises, "--ood", name, "--csv", tmp_path / "a.csv")
    result = command(*words, "--json")
    assert result.code == 0
    assert set(result.json) == {"clean", "noise", "images", "corruption", "ood"}
    assert set(result.json["corruption"]["types"]) == {"contrast"}
    assert result.json["ood"][name]["classes"] == 2
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["noise"] for row in rows] == ["clean", "contrast:1", "contrast:5", "jpeg:25", "clean"]
    assert float(rows[0]["accuracy"]) == result.json["clean"]
    shown = command(*words).out
    assert max(map(len, shown.splitlines())) <= 80
    for word in ("mean corruption accuracy", "contrast", "jpeg:25", "at severity"):
        assert word in shown


def test_eval_in_shards_is_eval(trained: Path, tmp_path: Path) -> None:
    """Of all that is counted, over the real command of each shard; `local` is tried with sweeps."""
    from neuroprompt.bundles.eval_run import evaluate_in_shards
    from neuroprompt.training.evaluation import evaluate
    from neuroprompt.training.run_folder import Run

    run, name = Run.load(trained), f"folder:{digits_in_folders(tmp_path / 'few', '3', '5')}"
    wanted = ["contrast:5", "jpeg:25"]
    shards = evaluate_in_shards(run, Split(InTurn(), 3, tmp_path / "work"), wanted, ood=[name])
    assert shards == evaluate(run, wanted, ood=[name])


def test_mistakes_of_eval_in_shards_are_one_line(command: Command, trained: Path, tmp_path: Path) -> None:
    for words in (("--shards", 2), ("--engine", "local", "--shards", 0), ("--engine", "cloud"), ("--shard", "1/1:x")):
        done = command("eval", trained, *words)
        assert (done.code, done.err.count("error:")) == (2, 1), done.err
    (tmp_path / "file").touch()
    done = command("eval", trained, "--engine", "local", "--shards", 1, "--work", tmp_path / "file" / "inside")
    assert (done.code, done.err.count("error:")) == (2, 1), done.err


@pytest.fixture(scope="module")
def other_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from neuroprompt.training.config import RunConfig
    from neuroprompt.training.loop import train

    config = RunConfig(backbone=BackboneSpec(random=True), settings={"tokens": 2}, limit=30, epochs=1, batch=10, seed=1)
    folder = tmp_path_factory.mktemp("seeds") / "b"
    train(config, folder, accelerator="cpu")
    return folder


def test_eval_of_several_seeds(command: Command, trained: Path, other_seed: Path) -> None:
    result = command("eval", trained, other_seed, "--noise", "jpeg:25", "--json")
    assert result.code == 0
    assert set(result.json) == {"runs", "mean", "std"}
    one, two = result.json["runs"]
    assert (one["seed"], two["seed"]) == (0, 1)
    assert one["run"] == str(trained)
    assert set(one) == {"run", "seed", "clean", "noise", "images"}
    assert result.json["mean"]["noise"]["jpeg:25"] == (one["noise"]["jpeg:25"] + two["noise"]["jpeg:25"]) / 2
    assert result.json["std"]["clean"] == near(abs(one["clean"] - two["clean"]) / 2**0.5)
    shown = command("eval", trained, other_seed).out
    assert "2 seeds" in shown
    assert "std" in shown
