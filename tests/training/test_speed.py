"""What makes training faster or smaller changes nothing but the order of sums."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from float_bounds import of_training
from torch import Tensor

from neuroprompt.contracts.learning import Backbone, BackboneSpec
from neuroprompt.errors import BadSetting
from neuroprompt.progress import Progress
from neuroprompt.training.assemble import build
from neuroprompt.training.commands import train_command
from neuroprompt.training.config import RunConfig, configure
from neuroprompt.training.loop import train
from neuroprompt.training.optimiser import make_optimiser
from neuroprompt.training.run_folder import Run

TINY = BackboneSpec(random=True, image_size=16)


def config(method: str = "vpt-deep", **options: Any) -> RunConfig:
    """Six steps of SGD, whose rounding `of_training` bounds."""
    few = {"limit": 20, "epochs": 2, "batch": 8, "optimiser": "sgd", "lr": 0.05, "settings": {"tokens": 2}}
    return configure(**{"method": method, "backbone": TINY, **few, **options})


def learned(run: Run) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in run.model.learned().items()}


def assert_rounding_apart(one: Run, other: Run) -> None:
    """Both learned the same but for rounding, and learned something."""
    start = {name: p.detach() for name, p in build(one.config).learned().items()}
    for name, ours in learned(one).items():
        limit = of_training(start[name], ours, steps=6)
        assert float((ours - learned(other)[name]).abs().max()) <= limit, name
        assert limit < float((ours - start[name]).abs().max()) / 50, name


@pytest.mark.parametrize("method", ["vpt-deep", "vpt-shallow"])
def test_training_is_that_of_the_plain_forward_pass(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = train(config(method), tmp_path / "ours", accelerator="cpu")
    family = type(ours.model.backbone)
    monkeypatch.setattr(family, "for_training", Backbone.for_training)
    plain = train(config(method), tmp_path / "plain", accelerator="cpu")
    assert_rounding_apart(ours, plain)
    assert ours.metrics.val_accuracy == plain.metrics.val_accuracy


def test_a_batch_in_parts_is_the_whole_batch(tmp_path: Path) -> None:
    whole = train(config(), tmp_path / "whole", accelerator="cpu")
    parts = train(config(accumulate=3), tmp_path / "parts", accelerator="cpu")
    assert_rounding_apart(whole, parts)
    assert parts.config.accumulate == 3
    assert "--accumulate 3" in train_command(parts.config)
    with pytest.raises(BadSetting, match="accumulate 0"):
        config(accumulate=0)


def test_the_penalty_counts_once_whatever_the_parts(tmp_path: Path) -> None:
    settings = {"tokens": 2, "l1": 10.0}
    whole, parts = (
        train(config("spike-nvpt", settings=settings, epochs=1, accumulate=n), tmp_path / str(n), accelerator="cpu")
        for n in (1, 4)
    )
    once, again = (run.metrics.history[0].train_loss for run in (whole, parts))
    assert abs(once - again) < 0.01 * once, "counted in each part, the penalty would be four times as large"


def test_checkpointing_trains_the_same_bits(tmp_path: Path) -> None:
    usual = train(config(), tmp_path / "usual", accelerator="cpu")
    small = train(config(), tmp_path / "small", accelerator="cpu", checkpointing=True)
    assert all(torch.equal(value, learned(small)[name]) for name, value in learned(usual).items())


def test_an_older_run_keeps_its_digest() -> None:
    """A field that came later counts only where it is set, so that older run folders stay readable."""
    values = {key: value for key, value in config().json().items() if key != "accumulate"}
    assert RunConfig.from_json(values).digest() == config().digest()
    assert config(accumulate=2).digest() != config().digest()


def test_nothing_frozen_has_a_state_in_the_optimiser() -> None:
    model = build(dataclasses.replace(config(), classes=("a", "b")))
    parameters = [p for group in make_optimiser(config(), model.learned()).param_groups for p in group["params"]]
    assert len(parameters) == len(model.learned()) == 3
    assert all(p.requires_grad for p in parameters)


def test_bf16_without_instructions_for_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lines(Progress):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, line: str) -> None:
            self.lines.append(line)

    for has, folder in ((False, "slow"), (True, "fast")):
        monkeypatch.setattr("neuroprompt.training.devices.has_bf16", lambda has=has: has)
        progress = Lines()
        train(config(epochs=1), tmp_path / folder, progress, accelerator="cpu", precision="bf16-mixed")
        assert any("no bf16 instructions" in line for line in progress.lines) is not has
    assert train(config(epochs=1), tmp_path / "auto", accelerator="cpu", precision="auto").config.precision == "32-true"
