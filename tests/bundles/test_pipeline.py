"""The hybrid bundle of LoRSP: its parts, and one prediction by every way through them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from float_bounds import U32, near
from label_images import images
from net_bounds import rounding
from PIL import Image

import neuroprompt as npt
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import load_model, load_tried, read_model
from neuroprompt.bundles.data_run import opened, run_items
from neuroprompt.bundles.labels import part_of
from neuroprompt.bundles.pipeline import Pipeline
from neuroprompt.bundles.results import Labels
from neuroprompt.cli import main
from neuroprompt.contracts.deployment import Exported, Exporter, ImageTarget, SpikingTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.energy.energy import count
from neuroprompt.errors import BadBundle, BadSetting, OutOfRange, UnknownName, Unsupported
from neuroprompt.onnxgraph.deployable import bare, deployed
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.parity import TOLERANCE, compare
from neuroprompt.simulators.runtime import WORKERS, Runtime
from neuroprompt.simulators.verify import verify
from neuroprompt.training.assemble import build
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import as_floats, load_data
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_folder import Run

PARTS = {"factors.onnx", "backbone.onnx", "factors.0.npy", "factors.1.npy", "generator.nir", "scale_report.json"}
SCRIPT = {
    *(
        "program.fixed.npz",
        "program.float.npz",
        "run_lava.py",
        "lava_net.py",
        "lava_processes.py",
        "lava_program.py",
        "program_file.py",
    ),
    *("requirements.txt", "README.md", "manifest.json"),
}


def a_run(method: str = "lorsp", **settings: Any) -> Run:
    spec = BackboneSpec("test_vit", random=True, image_size=64)
    config = RunConfig(method=method, settings=settings, backbone=spec, classes=("a", "b", "c"))
    model = build(config).eval()
    for parameter in model.prompt.parameters():  # as after training: a prompt that shows
        torch.nn.init.normal_(parameter, std=0.1)
    torch.nn.init.normal_(model.head.get_parameter("weight"))
    return Run(Path("run"), config, model, TrainingMetrics())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path, Exported]:
    torch.manual_seed(0)
    run, out = a_run(), tmp_path_factory.mktemp("hybrid") / "out"
    return run, out, Exporter.named("lava").export(run, out)


def test_the_bundle_holds_its_parts_and_what_was_checked(exported: tuple[Run, Path, Exported]) -> None:
    _, out, result = exported
    about = Bundle.open(out, "lava").about
    assert {p.name for p in out.iterdir()} == PARTS | SCRIPT
    assert about == json.loads(json.dumps(result.about))
    assert about["neurons"] == 3 * 64 * 64
    assert (about["steps"], about["samples"], about["per_image"]) == (4, 2, True)
    assert 0 < about["parity"]["max_rel_diff"] <= TOLERANCE
    assert about["checked"]["loihi-float"]["spike_exact"] == 1.0
    assert about["checked"]["loihi-fixed"]["spike_exact"] > 0.999
    assert 0.1 < about["prompt"]["spike_density"] < 0.5
    assert 0 < about["prompt"]["exact_zeros"] < 0.6
    assert 4 < about["prompt"]["rank"] <= 64
    # 2 * 3 * H * W * T r multiply-accumulates: X W, then B A
    assert about["factors_macs"] == 2 * 3 * 64 * 64 * 16
    report = load_model(Bundle.open(out)).scale_report
    assert report["populations"]["lif0"]["overflow_u"] == report["populations"]["lif0"]["overflow_v"] == 0
    assert 0 < report["projections"]["input -> lif0"]["headroom_bits"] < 8
    words = (out / "README.md").read_text()
    assert "factors.0.npy" in words
    assert "of the prompt's values are exactly 0" in words


@pytest.mark.floats
def test_every_way_through_it_gives_one_prediction(
    lava: SpikingTarget, exported: tuple[Run, Path, Exported], tmp_path: Path
) -> None:
    run, out, _ = exported
    images = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    inputs = run.model.inputs(images).numpy()
    to_onnx(deployed(run.model), (3, 64, 64), tmp_path / "unrolled.onnx")
    runtime = ImageTarget.named("onnxruntime")
    unrolled = runtime.logits(tmp_path / "unrolled.onnx", inputs)

    floats = Pipeline(out, "loihi", "float").run(inputs)
    numbers = torch.from_numpy(inputs)
    bound = rounding(deployed(run.model), numbers)  # the same operations in one graph and in three parts
    assert compare(floats.logits, unrolled).max_abs_diff <= 2 * bound
    prompt, seen = cast(Any, run.model.prompt), run.model.images(numbers)
    assert np.array_equal(floats.spikes, prompt.spikes(seen).flatten(2).numpy())
    assert floats.report()["spike_density"] == near(prompt.report(seen)["spike_density"], u=U32)

    fixed = Pipeline(out, "loihi", "fixed", lanes=2).run(inputs)
    real = Pipeline(out, "lava", "fixed", lanes=3).run(inputs)
    assert np.array_equal(fixed.spikes, real.spikes)
    assert np.array_equal(fixed.prompts, real.prompts)
    alone = rounding(bare(run.model, lean=True), numbers)  # the same images in other batches
    assert np.abs(fixed.logits - real.logits).max() <= 2 * alone
    # The integers may change a spike where a potential is within rounding of 0, and say so.
    assert (fixed.spikes == floats.spikes).mean() > 0.999
    assert np.abs(fixed.logits - unrolled).max() < 0.02 * np.ptp(unrolled)
    assert np.abs(run.model(torch.zeros_like(images)).detach().numpy() - unrolled).max() > 0.1


def test_it_is_verified_and_counted_on_its_own_samples(exported: tuple[Run, Path, Exported]) -> None:
    _, out, _ = exported
    bundle = Bundle.open(out)
    model, inputs, images = load_tried(bundle)
    assert images == 2
    assert inputs is not None
    assert inputs.shape == (4, 2 * 3 * 64 * 64)
    found = verify(model, inputs, ["loihi", "snntorch"]).targets
    assert found["snntorch"].spike_exact == found["loihi-float"].spike_exact == 1.0
    counts = count(bundle)
    generator, backbone = counts.generator, counts.backbone
    assert generator.updates == 4 * 3 * 64 * 64
    assert generator.spikes == generator.updates_active == round(found["loihi-fixed"].spikes / 2)
    assert 0.9 * generator.updates < generator.synops <= generator.updates  # one for every factor that is not 0
    assert backbone.macs == bundle.about["backbone_macs"] + bundle.about["factors_macs"]


def test_lava_alone_runs_its_neurons(lava: SpikingTarget, exported: tuple[Run, Path, Exported], tmp_path: Path) -> None:
    _, out, _ = exported
    python = Runtime("lava", "3.10", WORKERS / "lava.txt").executable
    arguments = ["--inputs", str(out / "factors.1.npy"), "--out", "spikes.npz"]
    subprocess.run([str(python), str(out / "run_lava.py"), *arguments], check=True, cwd=tmp_path, capture_output=True)
    emulator = SpikingTarget.named("loihi")
    factors = np.load(out / "factors.1.npy", allow_pickle=False)
    with np.load(tmp_path / "spikes.npz", allow_pickle=False) as found:
        spikes = emulator.run(read_model(out), factors, "fixed").spikes["lif0"]
        assert np.array_equal(found["spikes.lif0"], spikes)
    too_large = tmp_path / "large.npy"
    np.save(too_large, factors * 1e6)
    done = subprocess.run(
        [str(python), str(out / "run_lava.py"), "--inputs", str(too_large)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "too large for the chip" in done.stderr.splitlines()[-1]
    with pytest.raises(OutOfRange, match="at most 131071 on the chip"):
        emulator.run(read_model(out), factors * 1e6, "fixed")


def test_the_command_runs_verifies_and_prices_it(
    exported: tuple[Run, Path, Exported],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = exported
    rng = np.random.default_rng(0)
    for name in ("x.png", "y.png", "z.png"):
        Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(tmp_path / name)

    def code_of(*words: str) -> int | str | None:
        monkeypatch.setattr("sys.argv", ["neuroprompt", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code

    def json_of(*words: str) -> dict[str, Any]:
        assert code_of(*words, "--json") in (0, None)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    ran = json_of("run", str(out), str(tmp_path), "--target", "loihi", "--lanes", "2")
    assert [Path(r["file"]).name for r in ran["images"]] == ["x.png", "y.png", "z.png"]
    assert all(r["label"] in "abc" and 0 < r["spike_density"] < 0.5 for r in ran["images"])
    assert json_of("verify", str(out), "--targets", "loihi")["targets"]["loihi-float"]["spike_exact"] == 1.0
    priced = json_of("energy", str(out))
    assert priced["baked"] is False
    assert priced["generator"]["joules_per_image"] > 0 == priced["generator"]["joules_per_deployment"]
    assert code_of("run", str(out)) == 2
    assert capsys.readouterr().err.startswith("error: no images; expected at least one")
    assert code_of("run", str(out), str(tmp_path), "--out", "spikes.npz") == 2


def test_a_killed_run_of_a_folder_goes_on_with_the_same_bytes(
    exported: tuple[Run, Path, Exported], tmp_path: Path
) -> None:
    _, bundle, _ = exported
    folder, out, whole = images(tmp_path / "images", 60, broken=(5,)), tmp_path / "l.jsonl", tmp_path / "whole.jsonl"
    words = ["run", str(bundle), str(folder), "--target", "loihi", "--lanes", "2", "--out"]
    with subprocess.Popen([sys.executable, "-m", "neuroprompt", *words, str(out)]) as child:
        until = time.monotonic() + 300
        while child.poll() is None and not (part_of(out).exists() and part_of(out).stat().st_size > 2_000):
            assert time.monotonic() < until
            time.sleep(0.002)
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert not out.exists()
    assert part_of(out).exists()
    for file in (out, whole):
        ran = npt.run(bundle, [folder], target="loihi", lanes=2, out=file)
        assert isinstance(ran, Labels)
        assert (ran.count, ran.failed) == (60, 1)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_images_of_the_runs_data_set_are_items_of_its_neurons(tmp_path: Path) -> None:
    """Each image drives the neurons, and its class is the backbone's with the prompt that they make."""
    spec = BackboneSpec("test_vit", random=True, image_size=32)
    classes = tuple("0123456789")
    config = RunConfig(method="lorsp", settings={"steps": 2}, backbone=spec, limit=30, classes=classes)
    model = build(config).eval()
    for parameter in model.prompt.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    run, out = Run(tmp_path / "run", config, model, TrainingMetrics()), tmp_path / "out"
    Exporter.named("lava").export(run, out)
    images = load_data(config.data, model.preprocess, config.seed, config.limit).test
    inputs = run.model.inputs(as_floats(torch.stack([images[i][0] for i in range(9)]))).numpy()
    passed = Pipeline(out, "loihi", "fixed").run(inputs)

    result = run_items(out, "data:test:9")
    assert result.items == 9
    assert result.tally.decode == "backbone"
    assert result.tally.predicted.tolist() == passed.logits.argmax(axis=1).tolist()
    assert result.tally.spikes.tolist() == passed.spikes.sum(axis=(1, 2)).tolist()
    labels = [int(images[i][1]) for i in range(9)]
    assert result.accuracy == np.mean(result.tally.predicted == labels)
    assert result.confusion is not None
    assert result.confusion.shape == (10, 10)

    spiking, items, _ = opened(out, "data:test:9", None, None)
    reader = items.reader(spiking, None)
    verified = verify(spiking, items.part(0, 9), ["loihi", "snntorch"], labels=items.labels, reader=reader)
    assert verified.items == 9
    assert verified.targets["snntorch"].changed == 0
    assert verified.targets["loihi-fixed"].accuracy == result.accuracy
    for wrong, words in (("data:tset", "data:test"), ("data:test:0", "data:test:N")):
        with pytest.raises(BadSetting, match=words):
            run_items(out, wrong)
    with pytest.raises(BadSetting, match="the backbone says the class"):
        run_items(out, "data:test:9", decode="rate")
    with pytest.raises(BadSetting, match="the labels of that data set"):
        run_items(out, "data:test:9", tmp_path / "labels.npy")


def test_wrong_input_is_refused(exported: tuple[Run, Path, Exported], tmp_path: Path) -> None:
    _, out, _ = exported
    with pytest.raises(UnknownName, match="no spiking target is called 'onnxruntime'"):
        Pipeline(out, "onnxruntime")
    with pytest.raises(BadSetting, match="snntorch: float"):
        Pipeline(out, "snntorch", "fixed")
    with pytest.raises(BadSetting, match="lanes 0"):
        Pipeline(out, lanes=0)
    Exporter.named("lava").export(a_run("spike-nvpt"), tmp_path / "static")
    with pytest.raises(BadBundle, match="holds no prompt that is made for every image"):
        Pipeline(tmp_path / "static")
    with pytest.raises(BadSetting, match="whose neurons see no image"):
        run_items(tmp_path / "static", "data:test")
    with pytest.raises(Unsupported, match="no spiking generator"):
        Exporter.named("lava").export(a_run(gate="mean"), tmp_path / "dense")
