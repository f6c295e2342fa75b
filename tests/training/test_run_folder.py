"""Run folders: what is written is read back, and what is not whole or not ours is refused in one line."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadCheckpoint, BadSetting, CannotWrite
from neuroprompt.files import sha256
from neuroprompt.training.assemble import build, digest_of
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.checkpoint import load_state, save_prompt, save_state
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_files import begin, load_config, save_metrics
from neuroprompt.training.run_folder import Run

SPEC = BackboneSpec(random=True, image_size=16)
CLASSES = ("ant", "bee", "cat")


def write_run(folder: Path, **options: object) -> RunConfig:
    config = RunConfig(**{"backbone": SPEC, "classes": CLASSES, "settings": {"tokens": 3}, **options})  # type: ignore[arg-type]
    if config.backbone.weights is not None:
        config = dataclasses.replace(config, weights_sha256=sha256(Path(config.backbone.weights)))
    else:
        digest = digest_of(config.backbone, load_backbone(config.backbone))
        config = dataclasses.replace(config, weights_sha256=digest)
    begin(folder, config)
    model = build(config)
    with torch.no_grad():
        for parameter in model.learned().values():
            parameter.add_(1.0)
    save_prompt(folder, config, model.learned())
    save_metrics(folder, TrainingMetrics(finished=True))
    return config


def refused(folder: Path, *words: str, weights: Path | None = None) -> None:
    with pytest.raises(BadCheckpoint) as caught:
        Run.load(folder, weights)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a"
    write_run(folder)
    return folder


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "a"))


def test_what_is_written_is_read_back(run: Path) -> None:
    loaded = Run.load(run)
    assert loaded.config == load_config(run)
    assert loaded.config.classes == CLASSES
    assert loaded.metrics == TrainingMetrics(finished=True)
    assert not loaded.model.training
    assert not loaded.model.prompt.training
    fresh = build(loaded.config).learned()
    for name, parameter in loaded.model.learned().items():
        assert torch.equal(parameter, fresh[name] + 1.0)
    assert loaded.model(torch.rand(2, 3, 16, 16)).shape == (2, 3)


def test_only_prompt_and_head_are_stored(run: Path) -> None:
    assert set(load_file(run / "prompt.safetensors")) == {"prompt.p", "head.weight", "head.bias"}
    assert sorted(p.name for p in run.iterdir()) == ["metrics.json", "prompt.safetensors", "run.json"]


def test_no_run_and_no_prompt(run: Path, tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "is no run")
    (run / "prompt.safetensors").unlink()
    refused(run, "has no prompt.safetensors")


def test_prompt_of_another_method_or_another_run(run: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "vpt", method="vpt-deep")
    shutil.copy(tmp_path / "vpt" / "prompt.safetensors", run)
    refused(run, "method 'vpt-deep'", "'spike-nvpt'")
    write_run(tmp_path / "other", seed=1)
    shutil.copy(tmp_path / "other" / "prompt.safetensors", run)
    refused(run, "another run")


def test_foreign_and_truncated_files(run: Path) -> None:
    prompt = run / "prompt.safetensors"
    whole = prompt.read_bytes()
    prompt.write_bytes(whole[: len(whole) // 2])
    refused(run, "truncated")
    torch.save({"p": torch.zeros(2)}, prompt)
    refused(run, "no safetensors file")
    save_file({"x": torch.zeros(2)}, prompt)
    refused(run, "method None")
    prompt.write_bytes(whole)
    (run / "run.json").write_text('{"format": ')
    refused(run, "run.json cannot be read")
    (run / "run.json").write_text("[]")
    refused(run, "not a JSON object")
    (run / "run.json").write_text('{"format": "neuroprompt-run-2", "config": {"lr": 1}}')
    refused(run, "not whole")
    (run / "run.json").write_text('{"format": "neuroprompt-run-0"}')
    refused(run, "neuroprompt-run-0")


def test_tensors_that_do_not_fit(run: Path) -> None:
    config = load_config(run)
    assert config is not None
    tensors = load_file(run / "prompt.safetensors")
    save_prompt(run, config, {**tensors, "head.bias": torch.zeros(4)})
    refused(run, "head.bias of shape (4,)", "shape (3,)")
    save_prompt(run, config, {k: v for k, v in tensors.items() if k != "prompt.p"})
    refused(run, "lacks prompt.p")
    save_prompt(run, config, {**tensors, "prompt.q": torch.zeros(1)})
    refused(run, "prompt.q")


def test_weights_that_moved_or_changed(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    state = load_backbone(BackboneSpec(random=True)).get_submodule("model").state_dict()
    save_file(state, weights)
    write_run(tmp_path / "a", backbone=BackboneSpec(weights=str(weights), image_size=16))
    moved = weights.rename(tmp_path / "moved.safetensors")
    refused(tmp_path / "a", "w.safetensors", "--weights")
    assert Run.load(tmp_path / "a", moved).config.backbone.weights == str(weights)
    state["norm.bias"] += 1
    save_file(state, weights)
    refused(tmp_path / "a", "is not what the prompt was trained on", "--weights")


def test_a_backbone_without_a_file_is_known_by_its_tensors(run: Path) -> None:
    values = json.loads((run / "run.json").read_text())
    digest = values["config"]["weights_sha256"]
    assert len(digest) == 64
    config = dataclasses.replace(RunConfig.from_json(values["config"]), weights_sha256="0" * 64)
    with pytest.raises(BadCheckpoint, match="not those"):
        build(config)


def test_settings_that_were_tampered_with(run: Path) -> None:
    config = load_config(run)
    assert config is not None
    with pytest.raises(BadSetting, match="tokens"):
        build(dataclasses.replace(config, settings={"tokens": "five"}))
    with pytest.raises(BadSetting, match="no setting 'token'"):
        build(dataclasses.replace(config, settings={"token": 5}))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"epochs": 0}, {"batch": 0}, {"lr": 0.0}, {"lr": float("nan")}, {"limit": 0}, {"seed": -1}),
        *(
            {"weight_decay": -1.0},
            {"warmup": -1.0},
            {"prompt_lr": 0.0},
            {"momentum": 1.0},
            {"prompt_weight_decay": -1.0},
        ),
        *({"optimiser": "rmsprop"}, {"precision": "bf16-true"}),
    ],
)
def test_configurations_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(BadSetting, match=next(iter(wrong))):
        RunConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_full_disk_keeps_the_earlier_checkpoint(run: Path) -> None:
    config = load_config(run)
    assert config is not None
    before = (run / "prompt.safetensors").read_bytes()
    tensors = {name: value + 1 for name, value in load_file(run / "prompt.safetensors").items()}
    (run / ".prompt.safetensors.part").symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match="No space left"):
        save_prompt(run, config, tensors)
    assert (run / "prompt.safetensors").read_bytes() == before
    assert sorted(p.name for p in run.iterdir()) == ["metrics.json", "prompt.safetensors", "run.json"]
    Run.load(run)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(CannotWrite, match="is no run"):
        begin(tmp_path, RunConfig())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["thesis.txt"]


def test_a_folder_in_place_of_a_file_is_one_line(run: Path) -> None:
    config = load_config(run)
    assert config is not None
    (run / "metrics.json").unlink(missing_ok=True)
    (run / "metrics.json").mkdir()
    with pytest.raises(CannotWrite, match=r"metrics\.json cannot be removed") as caught:
        begin(run, config)
    assert "\n" not in str(caught.value)


def test_state_is_read_back_and_belongs_to_its_run(tmp_path: Path) -> None:
    config = RunConfig()
    assert load_state(tmp_path, config) is None
    save_state(tmp_path, config, {"a": torch.arange(3.0)}, {"loss": 0.1 + 0.2})
    state = load_state(tmp_path, config)
    assert state is not None
    assert torch.equal(state[0]["a"], torch.arange(3.0))
    assert state[1] == {"loss": 0.1 + 0.2}
    with pytest.raises(BadCheckpoint, match="another run"):
        load_state(tmp_path, RunConfig(seed=1))
