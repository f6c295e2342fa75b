"""Training: every method learns, the seed decides, and what cannot be trained is one clear line."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from float_bounds import U32, near, of_training
from tiny_runs import config, learned, same

from neuroprompt.errors import BadCheckpoint, BadSetting, CannotWrite, UnknownName
from neuroprompt.training.assemble import build
from neuroprompt.training.evaluation import evaluate
from neuroprompt.training.loop import train
from neuroprompt.training.run_folder import Run


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(config(), tmp_path_factory.mktemp("runs") / "unbroken", accelerator="cpu")


def test_training_leaves_a_run_that_loads_and_nothing_more(unbroken: Run) -> None:
    assert sorted(p.name for p in unbroken.folder.iterdir()) == ["metrics.json", "prompt.safetensors", "run.json"]
    metrics = unbroken.metrics
    assert metrics.finished is True
    assert [ended.epoch for ended in metrics.history] == [1, 2]
    assert metrics.prompt_parameters == 6 * 2 * 128
    assert metrics.head_parameters == 1290
    assert metrics.density is not None
    assert 0.4 < metrics.density < 0.6
    assert metrics.repeatable() == json.loads((unbroken.folder / "metrics.json").read_text())
    assert metrics.images_per_second > 0
    assert unbroken.config.classes == tuple("0123456789")
    loaded = Run.load(unbroken.folder)
    assert same(dict(loaded.model.learned()), dict(unbroken.model.learned()))


def test_the_backbone_stays_frozen_and_prompt_and_head_learn(unbroken: Run) -> None:
    from neuroprompt.training.assemble import build

    fresh = build(unbroken.config)
    for name, parameter in unbroken.model.named_parameters():
        before = fresh.get_parameter(name)
        assert torch.equal(parameter, before) == name.startswith("backbone."), name


def test_validation_accuracy_is_that_of_the_stored_run(unbroken: Run) -> None:
    assert evaluate(unbroken, split="val").clean == unbroken.metrics.val_accuracy


def test_a_finished_run_is_returned_as_it_is(unbroken: Run) -> None:
    before = (unbroken.folder / "prompt.safetensors").stat().st_mtime_ns
    again = train(config(), unbroken.folder, accelerator="cpu")
    assert (unbroken.folder / "prompt.safetensors").stat().st_mtime_ns == before
    assert again.metrics.repeatable() == unbroken.metrics.repeatable()


def test_the_seed_decides(unbroken: Run, tmp_path: Path) -> None:
    assert not same(learned(train(config(seed=1), tmp_path / "b", accelerator="cpu").folder), learned(unbroken.folder))


@pytest.mark.parametrize(
    ("method", "optimiser", "lr"),
    [("linear", "adamw", 0.01), ("linear", "sgd", 0.05), ("vpt-deep", "adamw", 0.01), ("vpt-shallow", "adamw", 0.01)],
)
def test_every_method_lowers_its_loss(method: str, optimiser: str, lr: float, tmp_path: Path) -> None:
    wanted = config(method, optimiser=optimiser, epochs=5, lr=lr)
    history = train(wanted, tmp_path / "r", accelerator="cpu").metrics.history
    assert history[-1].train_loss < history[0].train_loss - 0.05
    assert not list(tmp_path.glob("*/.*"))


def test_optimisers_are_torchs_own_with_a_rate_and_a_decay_for_the_prompt() -> None:
    from neuroprompt.training.optimiser import make_optimiser

    def step(**options: Any) -> tuple[float, float]:
        """Where prompt and head, 1 at first, are after two steps of gradient 1."""
        parameters = {name: torch.nn.Parameter(torch.ones(1)) for name in ("prompt.p", "head.weight")}
        optimiser = make_optimiser(config(lr=0.1, **options), parameters)
        for group in optimiser.param_groups:
            group["lr"] = group["peak"]
        for _ in range(2):
            for parameter in parameters.values():
                parameter.grad = torch.ones(1)
            optimiser.step()
        prompt, head = (float(parameter.detach()) for parameter in parameters.values())
        return prompt, head

    def are(*expected: float) -> Any:
        return near(expected, 32, U32)

    assert step(optimiser="sgd", momentum=0.0, weight_decay=0.0) == are(0.8, 0.8)
    assert step(optimiser="sgd", momentum=0.5, weight_decay=0.0) == are(0.75, 0.75)
    assert step(optimiser="sgd", momentum=0.0, weight_decay=0.0, prompt_lr=0.3) == are(0.4, 0.8)
    decayed = step(optimiser="sgd", momentum=0.0, weight_decay=1.0, prompt_weight_decay=0.0)
    assert decayed == are(0.8, 1 - 0.2 - 0.18)
    assert step(optimiser="adam", weight_decay=0.0) == are(0.8, 0.8)
    # Decay of AdamW shrinks the parameter; that of Adam stands in the gradients, here 1 + 1 and 1 + 0.9.
    assert step(optimiser="adamw", weight_decay=1.0) == are(0.62, 0.62)
    mean, square = (0.9 * 0.2 + 0.1 * 1.9) / (1 - 0.9**2), (0.999 * 0.004 + 0.001 * 1.9**2) / (1 - 0.999**2)
    left = 1 - 0.1 - 0.1 * mean / square**0.5
    assert step(optimiser="adam", weight_decay=1.0) == are(left, left)


@pytest.mark.parametrize("method", ["linear", "spike-nvpt"])
def test_without_validation_images_nothing_is_withheld_or_measured(method: str, tmp_path: Path) -> None:
    run = train(config(method, val="none", limit=None, epochs=1, batch=500), tmp_path / "r", accelerator="cpu")
    assert run.metrics.val_accuracy is None
    assert "val_accuracy" not in run.metrics.json()
    assert run.metrics.finished
    with pytest.raises(BadSetting, match="split 'val'"):
        evaluate(run, split="val")
    assert evaluate(run).images == 450


def test_linear_probing_on_kept_features_is_training_the_whole_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config("linear", optimiser="sgd", lr=0.05)
    kept = train(wanted, tmp_path / "kept", accelerator="cpu")
    before = build(kept.config).head.get_parameter("weight").detach()
    monkeypatch.setattr("neuroprompt.prompts.linear.Linear.enters", "tokens")
    whole = train(wanted, tmp_path / "whole", accelerator="cpu")
    one, other = (run.model.head.get_parameter("weight").detach() for run in (kept, whole))
    limit = of_training(before, one, steps=6)
    assert float((one - other).abs().max()) <= limit < float((one - before).abs().max()) / 50
    assert kept.metrics.val_accuracy == whole.metrics.val_accuracy


def test_divergence_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"the loss became (nan|inf) in epoch \d.*lower lr than 1e\+30"):
        train(config("vpt-deep", lr=1e30, optimiser="sgd", warmup=0), tmp_path / "r", accelerator="cpu")


def test_rates_rise_and_end_at_nothing() -> None:
    from neuroprompt.training.optimiser import make_optimiser, set_rate

    wanted = config(lr=0.1, warmup=1, epochs=5, prompt_lr=1.0)
    parameters = {"prompt.p": torch.nn.Parameter(torch.zeros(1)), "head.weight": torch.nn.Parameter(torch.zeros(1))}
    optimiser = make_optimiser(wanted, parameters)
    rates = []
    for step in range(20):
        set_rate(optimiser, wanted, step, 4)
        prompt, head = (group["lr"] for group in optimiser.param_groups)
        assert prompt == near(10 * head)
        rates.append(head)
    assert rates[:5] == near([0.02, 0.04, 0.06, 0.08, 0.1])
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert rates[-1] < 0.002


def test_wrong_names_devices_and_places(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="spike-nvpt"):
        config("spike-vpt")
    with pytest.raises(UnknownName, match="digits"):
        config(data="numbers")
    with pytest.raises(BadSetting, match="accelerator 'abacus'"):
        train(config(), tmp_path / "a", accelerator="abacus")
    with pytest.raises(BadSetting, match="strategy"):
        train(config(), tmp_path / "a", strategy="fsdp")
    with pytest.raises(BadSetting, match="precision"):
        train(config(), tmp_path / "a", precision="16-true")
    with pytest.raises(BadSetting, match="no setting 'toke'"):
        train(config(settings={"toke": 3}), tmp_path / "a", accelerator="cpu")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("x")
    with pytest.raises(CannotWrite, match="is no run"):
        train(config("linear"), tmp_path / "b", accelerator="cpu")
    assert not (tmp_path / "a").exists()


def test_precision_auto_is_full_on_a_cpu(tmp_path: Path) -> None:
    run = train(config(), tmp_path / "r", accelerator="cpu", precision="auto")
    assert run.config.precision == "32-true"


def test_mixed_precision_trains_and_is_recorded(tmp_path: Path) -> None:
    run = train(config(), tmp_path / "r", accelerator="cpu", precision="bf16-mixed")
    assert run.config.precision == "bf16-mixed"
    assert all(parameter.dtype == torch.float32 for parameter in run.model.learned().values())
    with pytest.raises(BadCheckpoint, match="precision"):
        train(dataclasses.replace(config(), precision="32-true"), tmp_path / "r", accelerator="cpu")
