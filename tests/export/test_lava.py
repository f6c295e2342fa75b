"""The Lava bundle of a run: what it holds, what was checked, and that lava-nc alone runs it."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import bits_sha256, load_model, read_model
from neuroprompt.contracts.deployment import Exporter, SpikingTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadBundle, CannotWrite, Unsupported
from neuroprompt.simulators.runtime import WORKERS, Runtime
from neuroprompt.training.assemble import build
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_folder import Run

FILES = {
    "generator.nir",
    "program.fixed.npz",
    "program.float.npz",
    "scale_report.json",
    "tokens.npy",
    "run_lava.py",
    "lava_net.py",
    "lava_processes.py",
    "lava_program.py",
    "program_file.py",
    "requirements.txt",
    "README.md",
}


def a_run(method: str) -> Run:
    config = RunConfig(method=method, backbone=BackboneSpec("test_vit", random=True), classes=("a", "b"))
    return Run(Path("run"), config, build(config).eval(), TrainingMetrics())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    torch.manual_seed(0)
    run, out = a_run("spike-nvpt"), tmp_path_factory.mktemp("export") / "out"
    Exporter.named("lava").export(run, out)
    return run, out


def test_the_bundle_holds_what_was_trained_and_checked(exported: tuple[Run, Path]) -> None:
    _, out = exported
    bundle = Bundle.open(out, "lava")
    assert {p.name for p in out.iterdir()} == FILES | {"manifest.json"}
    about = bundle.about
    assert about["method"] == "spike-nvpt"
    assert about["steps"] == 4
    assert about["neurons"] == 6 * 10 * 64
    assert about["classes"] == ["a", "b"]
    assert about["backbone"]["name"] == "test_vit"
    assert about["backbone_macs"] > 1_000_000
    checked = about["checked"]
    assert set(checked) == {"torch", "loihi-float", "loihi-fixed"}
    assert checked["loihi-float"]["spike_exact"] == checked["loihi-fixed"]["spike_exact"] == 1.0
    assert checked["torch"]["spikes"] == checked["loihi-fixed"]["spikes"] > 0
    model = load_model(bundle)
    assert model.steps == 4
    assert model.scale_report == json.loads((out / "scale_report.json").read_text())


def test_its_bits_are_the_prompts(exported: tuple[Run, Path]) -> None:
    run, out = exported
    bits = np.load(out / "tokens.npy", allow_pickle=False)
    tokens = run.model.prompt.tokens()
    assert tokens is not None
    assert bits.dtype == np.uint8
    values = tokens.detach().numpy()
    assert np.array_equal(bits, values != 0)
    assert 0.1 < bits.mean() < 0.9
    digest = Bundle.open(out).about["bits_sha256"]
    assert digest == hashlib.sha256(bits.tobytes()).hexdigest() == bits_sha256(values) == bits_sha256(values * 0.5)
    other = np.random.default_rng(0).random(values.shape).astype(np.float32)
    assert len({digest, bits_sha256(1 - values), bits_sha256(other), bits_sha256(other + 1)}) == 4


@pytest.mark.parametrize("precision", ["fixed", "float"])
def test_lava_alone_runs_it(lava: SpikingTarget, exported: tuple[Run, Path], tmp_path: Path, precision: str) -> None:
    """The bundle's own script, as its README has it, in an environment of its own pins and nothing of neuroprompt."""
    _, out = exported
    runtime = Runtime("lava", "3.10", WORKERS / "lava.txt")
    assert (out / "requirements.txt").read_text() == runtime.requirements.read_text()
    arguments = ("--precision", precision, "--out", "spikes.npz")
    command = [str(runtime.executable), str(out / "run_lava.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    model = read_model(out)
    emulator = SpikingTarget.named("loihi")
    spikes = emulator.run(model, np.zeros((4, model.fixed_program.inputs)), precision).spikes
    with np.load(tmp_path / "spikes.npz", allow_pickle=False) as found:
        assert set(found) == {f"spikes.{name}" for name in spikes}
        assert all(np.array_equal(found[f"spikes.{name}"], s) for name, s in spikes.items())
    assert str(sum(int(s.sum()) for s in spikes.values())) in done.stdout.split()


def test_the_readme_says_how_to_run_it_and_what_the_integers_changed(exported: tuple[Run, Path]) -> None:
    text = (exported[1] / "README.md").read_text()
    for words in ("pip install -r requirements.txt", "run_lava.py --precision fixed", "0 biases clipped", "100.0000%"):
        assert words in text


def test_a_changed_or_missing_file_is_one_line(exported: tuple[Run, Path], tmp_path: Path) -> None:
    run, _ = exported
    out = tmp_path / "out"
    Exporter.named("lava").export(run, out)
    program = out / "program.fixed.npz"
    program.write_bytes(program.read_bytes()[:1000])
    with pytest.raises(BadBundle, match=r"program.fixed.npz was changed; expected SHA-256"):
        Bundle.open(out)
    with pytest.raises(BadBundle, match="cannot be read"):
        read_model(out)
    program.unlink()
    with pytest.raises(BadBundle, match=r"program.fixed.npz is missing"):
        Bundle.open(out)
    with pytest.raises(BadBundle, match="holds no spiking model"):
        load_model(Bundle(out, "onnx", {}))


def test_a_prompt_without_neurons_is_refused_and_names_those_with(tmp_path: Path) -> None:
    with pytest.raises(
        Unsupported, match=r"'vpt-deep' has no spiking generator; expected a run of one of: .*spike-nvpt"
    ):
        Exporter.named("lava").export(a_run("vpt-deep"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CannotWrite):
        Exporter.named("lava").export(a_run("spike-nvpt"), tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("room", [1_000, 20_000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, room: int) -> None:
    """No file may grow beyond `room` bytes: the system's own refusal, as on a full disk."""
    run = a_run("spike-nvpt")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(CannotWrite, match="cannot write"):
            Exporter.named("lava").export(run, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
