"""A configuration and a run's figures are read back as they were, without torch; anything else is one clear line."""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroprompt.cli import main
from neuroprompt.contracts.specs import BackboneSpec
from neuroprompt.errors import BadSetting
from neuroprompt.training.commands import train_command
from neuroprompt.training.config import RunConfig, configure
from neuroprompt.training.metrics import Epoch, TrainingMetrics

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.integers())


def test_what_a_run_was_made_of_is_read_without_torch() -> None:
    modules = (
        "training.config, neuroprompt.training.run_files, neuroprompt.training.commands, neuroprompt.training.accuracy"
    )
    script = f"import sys, neuroprompt.{modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


def test_a_configuration_is_read_back() -> None:
    spec = BackboneSpec("deit_tiny_patch16_224", "w.safetensors", 112)
    config = RunConfig("lorsp", {"steps": 2}, spec, limit=5, lr=1, classes=("a", "b"), weights_sha256="0")
    assert RunConfig.from_json(json.loads(json.dumps(config.json()))) == config


@given(st.sampled_from(sorted(RunConfig().json())), VALUES)
def test_a_field_of_another_type_is_one_line(key: str, value: object) -> None:
    try:
        config = RunConfig.from_json({**RunConfig().json(), key: value})
    except BadSetting:
        return
    assert config.json()[key] == (tuple(value) if isinstance(value, list) else value)
    assert key != "classes" or value == []


@pytest.mark.parametrize("values", [[], None, {}, {"classes": []}, {**RunConfig().json(), "momentun": 1}])
def test_what_is_no_configuration(values: object) -> None:
    with pytest.raises(BadSetting):
        RunConfig.from_json(values)


@pytest.mark.parametrize("key", ["epochs", "batch", "accumulate", "seed", "limit", "lr_batch", "patience"])
def test_counts_that_torch_cannot_compute_with_are_one_line(key: str) -> None:
    assert getattr(RunConfig(**{key: 2**32 - 1}), key) == 2**32 - 1  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match=key):
        RunConfig(**{key: 2**32})  # type: ignore[arg-type]


def test_a_file_of_weights_beside_random_ones_is_one_line() -> None:
    with pytest.raises(BadSetting, match=r"w\.safetensors beside random weights"):
        RunConfig(backbone=BackboneSpec(weights="w.safetensors", random=True))


def test_metrics_are_read_back_and_a_summary_keeps_the_last_epoch() -> None:
    history = (Epoch(1, 2.0, 0.5, 0.25), Epoch(2, 1.0, 0.75, 0.5))
    metrics = TrainingMetrics(True, 100.0, 10, 20, 0, "cpu", history)
    assert TrainingMetrics.from_json(json.loads(json.dumps(metrics.json()))) == metrics
    assert list(metrics.json()) == [
        *("finished", "epochs", "train_loss", "val_accuracy", "density", "images_per_second"),
        *("prompt_parameters", "head_parameters", "device", "history"),
    ]
    last = TrainingMetrics.from_json(metrics.summary())
    assert last.history == history[1:]
    assert last.summary() == metrics.summary()
    assert TrainingMetrics().json()["history"] == []


def test_a_command_line_makes_its_configuration_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every field that differs from its default is on the command line, and the command reads it as it was."""
    config = configure(
        method="lorsp",
        settings={"steps": 2, "tau": 3.5},
        backbone=BackboneSpec(
            "test_vit", str(tmp_path / "w.safetensors"), 64, False, "avg", "projection", str(tmp_path / "c.safetensors")
        ),
        data=f"folder:{tmp_path}",
        limit=7,
        seed=3,
        epochs=4,
        batch=5,
        accumulate=2,
        optimiser="sgd",
        momentum=0.5,
        lr=0.5,
        prompt_lr=70.0,
        weight_decay=0.1,
        prompt_weight_decay=0.0,
        warmup=0.0,
        schedule="steps",
        lr_batch=256,
        augment="crop+flip",
        patience=3,
        best=True,
        head="frequency",
        head_settings={"sources": 2},
        precision="bf16-mixed",
        val="0.25",
        resize="plain",
        exif=False,
    )
    changed = {key for key, value in config.json().items() if value != RunConfig().json()[key]}
    assert changed == set(config.json()) - {"classes", "weights_sha256", "classifier_sha256", "recipe"}
    made: list[RunConfig] = []

    def train(config: RunConfig, *places: object, precision: str, **options: object) -> None:
        made.append(dataclasses.replace(config, precision=precision))
        raise KeyboardInterrupt

    monkeypatch.setattr("neuroprompt.training.loop.train", train)
    monkeypatch.setattr(sys, "argv", shlex.split(train_command(config)))
    with pytest.raises(SystemExit):
        main()
    assert made == [config]
