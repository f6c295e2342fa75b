"""The NIR file of a run: checked before it appears, and never half there."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.compiler.flatten import flatten
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import Exporter
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import CannotWrite, ParityError, Unsupported
from neuroprompt.spiking import chain as graph
from neuroprompt.training.assemble import build
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_folder import Run


def chain_of(read: Any) -> list[Any]:
    return [node.node for node in flatten(read).nodes]


def a_run(method: str) -> Run:
    config = RunConfig(method=method, backbone=BackboneSpec("test_vit", random=True), classes=("a", "b"))
    return Run(Path("run"), config, build(config).eval(), TrainingMetrics())


def test_the_file_is_the_prompt(tmp_path: Path) -> None:
    run = a_run("spike-nvpt")
    about = Exporter.named("nir").export(run, tmp_path / "out").about
    bundle = Bundle.open(tmp_path / "out", "nir")
    assert bundle.about["checked"] == about["checked"]
    read = read_graph(tmp_path / "out" / "generator.nir")
    generator = run.model.prompt.generator()
    assert generator is not None
    (drive,) = generator.chain.parameters()
    assert np.array_equal(read.nodes["current0"].bias, drive.detach().numpy())
    assert about["checked"]["neurons"] == 6 * 10 * 64
    assert about["checked"]["steps"] == generator.steps == 4
    assert 0 < about["checked"]["spikes"] < 6 * 10 * 64 * 4
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_generator_that_takes_images_is_checked_on_rows_of_images(tmp_path: Path) -> None:
    """One graph for the whole generator: Input -> Linear -> Linear -> LIF, one row of an image a run."""
    run = a_run("lorsp")
    about = Exporter.named("nir").export(run, tmp_path / "out").about
    read = read_graph(tmp_path / "out" / "generator.nir")
    channels, _, width = run.model.backbone.site.image
    assert [type(node).__name__ for node in chain_of(read)] == ["Input", "Linear", "Linear", "LIF", "Output"]
    assert read.nodes["input"].input_type["input"].tolist() == [channels * 4 * width]
    assert about["checked"]["neurons"] == channels * width
    assert about["image_source"] == "digits, test split"
    # 32 lanes of 4 steps: spikes are fewer than half of all
    assert 0.1 < about["checked"]["spikes"] / (32 * 4 * channels * width) < 0.5


def test_a_prompt_without_neurons_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="'vpt-deep' has no spiking generator"):
        Exporter.named("nir").export(a_run("vpt-deep"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_file_that_differs_from_the_modules_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(tensor: torch.Tensor) -> object:
        return tensor.detach().numpy() + np.float32(0.2)

    monkeypatch.setattr(graph, "_array", shifted)
    with pytest.raises(ParityError):
        Exporter.named("nir").export(a_run("spike-nvpt"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """No file may grow beyond 1000 bytes: the system's own error, as on a full disk."""
    run = a_run("spike-nvpt")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(CannotWrite, match="cannot write"):
            Exporter.named("nir").export(run, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
