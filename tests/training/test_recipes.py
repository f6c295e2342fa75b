"""Recipes: every one parses, builds and takes a step; the command line wins; mistakes are one line."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch

from neuroprompt.cli import main
from neuroprompt.contracts.learning import BackboneSpec, Head, Prompt
from neuroprompt.errors import BadSetting, NeuropromptError, UnknownName
from neuroprompt.training.config import RunConfig, configure
from neuroprompt.training.loop import train
from neuroprompt.training.recipes import LAUNCH, OPTIONS, load_recipe, names, parse
from neuroprompt.training.run_files import load_config

PAPERS = ("lorsp", "lor-vp", "evp", "ilm-vp", "autovp", "vpt", "gate-vpt", "lspt", "spike-nvpt")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Ten classes of the embedded backbone's 128 features, as text embeddings."""
    file = tmp_path_factory.mktemp("text") / "classifier.safetensors"
    generator = torch.Generator().manual_seed(0)
    safetensors.torch.save_file(
        {"weight": torch.randn(10, 128, generator=generator), "scale": torch.tensor(100.0)}, file
    )
    return str(file)


def test_every_paper_has_a_recipe() -> None:
    assert [paper for paper in PAPERS if not any(name.startswith(paper) for name in names())] == []


@pytest.mark.parametrize("name", names())
def test_a_recipe_says_where_it_stands_and_what_is_open(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.about
    assert "arXiv" in recipe.paper
    assert recipe.table
    assert recipe.open
    for key, values in recipe.vary.items():
        for value in values:
            if key.replace("-", "_") in OPTIONS:
                parse(name, f'[train]\nmethod = "linear"\n{key} = {json.dumps(value)}' if key != "method" else "")
            else:
                Prompt.check_settings(str(recipe.train["method"]), {key: value})
    for backbone in {recipe.train["backbone"], *recipe.vary.get("backbone", ())}:
        architecture = str(backbone).partition(".")[0]
        assert backbone in timm.list_pretrained(f"{architecture}.*")


@pytest.mark.parametrize("name", names())
def test_a_recipe_builds_and_takes_a_step(name: str, classifier: str, tmp_path: Path) -> None:
    tiny = BackboneSpec(random=True, image_size=16, classifier=classifier)
    config = configure(recipe=name, backbone=tiny, data="digits", limit=10, epochs=1, val="0.2")
    assert config.recipe == name
    run = train(config, tmp_path / "run", accelerator="cpu")
    assert run.metrics.finished
    assert (load_config(tmp_path / "run") or RunConfig()).recipe == name


def test_every_option_of_train_can_stand_in_a_recipe() -> None:
    import typer.main

    from neuroprompt.cli._app import app

    command: Any = typer.main.get_command(app)
    options = {option.name for option in command.commands["train"].params}
    asked_of_the_line = {"out", "recipe", "json", "help_settings", "words", "head_words"}
    assert options - asked_of_the_line == set(OPTIONS) | set(LAUNCH)


RECIPE = """
about = "a test"
[train]
method = "vpt-deep"
data = "digits"
tokens = 3
lr = 0.5
lr-batch = 256
epochs = 7
no-exif = true
backbone = "embedded"
image-size = 16
random-weights = true
head = "linear"
device = "cpu"
[set]
dropout = 0.25
[head-set]
init = "vpt"
"""


def configured(line: list[str], monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """What `train` would train."""
    configs: list[RunConfig] = []

    def stop(config: RunConfig, *places: object, **options: object) -> None:
        configs.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr("neuroprompt.training.loop.train", stop)
    monkeypatch.setattr(sys, "argv", ["neuroprompt", "train", *line])
    with pytest.raises(SystemExit):
        main()
    return configs[0]


def test_the_command_line_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(RECIPE)
    plain = configured(["--recipe", str(file)], monkeypatch)
    assert plain == configure(recipe=str(file))
    assert plain.recipe == "mine.toml"
    assert (plain.method, plain.lr, plain.epochs, plain.lr_batch, plain.exif) == ("vpt-deep", 0.5, 7, 256, False)
    assert plain.settings == {"tokens": 3, "dropout": 0.25}
    assert plain.head_settings == {"init": "vpt"}
    assert plain.backbone == BackboneSpec(random=True, image_size=16)
    typed = configured(
        ["--recipe", str(file), "--epochs", "10", "--tokens", "5", "--set", "dropout=0.5", "--head-set", "init=torch"],
        monkeypatch,
    )
    assert typed.epochs == 10  # the default, typed: it wins all the same
    assert typed.settings == {"tokens": 5, "dropout": 0.5}
    assert typed.head_settings == {"init": "torch"}
    assert (
        dataclasses.replace(
            configure(
                recipe=str(file), epochs=10, settings={"tokens": 5, "dropout": 0.5}, head_settings={"init": "torch"}
            )
        )
        == typed
    )


def test_settings_of_another_method_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(RECIPE)
    other = configured(["--recipe", str(file), "--method", "lor-vp"], monkeypatch)
    assert other.settings == {}
    assert other.head_settings == {"init": "vpt"}
    assert other == configure(recipe=str(file), method="lor-vp")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[train]\nmethod = 'linear'\nlearning-rate = 1.0", "learning_rate"),
        ("[train]\nmethod = 'linear'\nepochs = 1.5", "a whole number"),
        ("[train]\nmethod = 'linear'\nepochs = true", "a whole number"),
        ("[train]\nmethod = 'linear'\nlr = '1'", "a number"),
        ("[train]\nepochs = 1", "method"),
        ("[trian]\nmethod = 'linear'", "trian"),
        ("open = 'all of it'\n[train]\nmethod = 'linear'", "open"),
        ("train = 3", "train"),
        ("[train", "TOML"),
        ("[train]\nmethod = 'linear'\n[vary]\nlr = 1", "lr"),
    ],
)
def test_a_wrong_recipe_is_one_line(text: str, says: str) -> None:
    with pytest.raises(BadSetting, match=says):
        parse("mine.toml", text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[train]\nmethod = 'linear'\n[set]\nsteps = 4", BadSetting),
        ("[train]\nmethod = 'spike-nvpt'\n[set]\nsteps = '4'", BadSetting),
        ("[train]\nmethod = 'linaer'", UnknownName),
        ("[train]\nmethod = 'linear'\nschedule = 'linear'", BadSetting),
        ("[train]\nmethod = 'linear'\n[head-set]\ninit = 3", BadSetting),
    ],
)
def test_a_recipe_is_checked_as_the_command_line_is(text: str, error: type[NeuropromptError], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(error):
        configure(recipe=str(file))


def test_names_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="lorsp-cifar100"):
        load_recipe("lorsp-cifar10")
    with pytest.raises(BadSetting, match="cannot be read"):
        load_recipe(str(tmp_path / "none.toml"))


def test_a_run_goes_on_whatever_its_recipe_is_called(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(RECIPE)
    config = configure(recipe=str(tmp_path / "a.toml"), limit=10, epochs=1)
    first = train(config, tmp_path / "run", accelerator="cpu")
    assert train(dataclasses.replace(config, recipe=""), tmp_path / "run", accelerator="cpu").config == first.config


def test_the_verb_lists_every_recipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["neuroprompt", "recipes", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    listed = json.loads(capsys.readouterr().out)["recipes"]
    assert list(listed) == names()
    for values in listed.values():
        assert {"paper", "table", "method", "backbone", "data", "open"} <= values.keys()
        Head.check_settings(values["train"].get("head", "linear"), values["head_set"])
        Prompt.check_settings(values["method"], values["set"])
    monkeypatch.setattr(sys, "argv", ["neuroprompt", "recipes", "gate-vpt"])
    with pytest.raises(SystemExit):
        main()
    assert "open: " in capsys.readouterr().out
