"""`export --precision`: a second file in fewer bits, its accuracy measured, and too much loss rejected."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from few_blocks import few_blocks
from PIL import Image
from torch import nn

from neuroprompt.benchmarks.latency import bench
from neuroprompt.bundles.artefact import run
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.choice import recalled
from neuroprompt.bundles.export import export
from neuroprompt.bundles.forms import chosen_form
from neuroprompt.contracts.deployment import Exported, ImageTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.energy.energy import count
from neuroprompt.errors import BadSetting, ParityError, Unsupported
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_folder import Run

CLASSES = tuple("0123456789")
ANY = 100.0
"""Points that an untrained network may lose: all."""


_few_blocks = few_blocks(2)


@pytest.fixture(scope="module")
def untrained() -> Run:
    torch.manual_seed(1)
    spec = BackboneSpec("embedded", image_size=16, random=True)
    settings = {"tokens": 4}
    config = RunConfig("spike-nvpt", settings, backbone=spec, data="digits", limit=40, classes=CLASSES)
    model = assemble(config, load_backbone(spec)).eval()
    nn.init.normal_(model.head.get_parameter("weight"))
    return Run(Path("nowhere"), config, model, TrainingMetrics())


@pytest.fixture(scope="module")
def exported(untrained: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Exported]:
    out = tmp_path_factory.mktemp("int8") / "bundle"
    result = export(untrained, out, precision="int8", max_drop=ANY)
    return Bundle.open(out), result


def test_both_files_are_in_one_bundle_with_what_was_measured(exported: tuple[Bundle, Exported]) -> None:
    bundle, result = exported
    figures = json.loads(json.dumps(result.json()))["int8"]
    wanted = {"accuracy", "accuracy_fp32", "drop", "quantised_nodes", "bytes", "bytes_fp32", "agreement", "noise"}
    assert wanted <= figures.keys()
    assert figures["quantised_nodes"] == 1 + 2 * 6, "patches, and six products of each block"
    assert figures["drop"] == figures["accuracy_fp32"] - figures["accuracy"]
    sizes = [(bundle.folder / name).stat().st_size for name in ("model.int8.onnx", "model.onnx")]
    assert [figures["bytes"], figures["bytes_fp32"]] == sizes
    assert sizes[0] < 0.5 * sizes[1]
    assert figures["split"] == "val"
    assert set(figures["over_fp32"]) == {"over", "processor", "flags", "onnxruntime"}
    assert {path.name for path in bundle.folder.glob("*.onnx")} == {
        "model.onnx",
        "model.fused.onnx",
        "model.int8.onnx",
    }


def test_the_file_in_8_bits_is_what_runs_and_is_priced(exported: tuple[Bundle, Exported], tmp_path: Path) -> None:
    bundle, _ = exported
    assert chosen_form(bundle) == "int8"
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    usual, reduced, whole = (run(bundle, [tmp_path], form=form).json() for form in (None, "int8", "portable"))
    assert usual["images"] == reduced["images"] != whole["images"]
    assert usual["how"]["why"] == "exported with --precision int8"
    counted = count(bundle)
    assert counted.graphs.keys() == {"model.int8.onnx"}
    assert counted.backbone.macs == count(bundle, form="portable").backbone.macs
    assert 0 < counted.backbone.macs_int8 < counted.backbone.macs


def test_bench_times_it_beside_the_others(exported: tuple[Bundle, Exported]) -> None:
    bundle, written = exported
    result = bench(bundle, rounds=2, threads=1)
    figures = written.figures["int8"]
    assert result.accuracy == {"baked": figures["accuracy_fp32"], "int8": figures["accuracy"]}
    (kept,) = recalled(bundle)
    fused = result.ratio["baked_fused_over_baked"]
    assert (kept.threads, kept.batch, kept.median, kept.high) == (1, 1, fused.median, fused.high)
    openvino = ImageTarget.part("openvino")
    for precision, end in (("float", ""), ("bf16", "_bf16")):
        both = {f"openvino{end}_over_bare", f"openvino_int8{end}_over_bare"}
        assert both & result.ratio.keys() == (both if openvino.computes_in(precision) else set())
    assert {"int8_over_bare", "int8_dynamic_over_bare"} <= result.ratio.keys()
    assert ({"web_over_bare", "web_int8_over_bare"} <= result.ratio.keys()) != ("web" in result.missing)
    assert result.joules["int8"] < result.joules["baked"]
    assert result.bytes["int8"] < 0.5 * result.bytes["baked"]


@pytest.mark.parametrize("bits", ["int8-dynamic", "fp16"])
def test_other_precisions(bits: str, untrained: Run, tmp_path: Path) -> None:
    figures = export(untrained, tmp_path / "out", precision=bits, max_drop=ANY).figures[bits]
    assert figures["bytes"] < 0.6 * figures["bytes_fp32"]
    assert (figures["calibrated_on"] > 0) == (bits == "int8-dynamic")
    assert 0 < figures["max_rel_diff"] < 0.5


def test_too_much_loss_is_rejected_with_the_figures(untrained: Run, tmp_path: Path) -> None:
    """No network gains 101 points."""
    with pytest.raises(ParityError, match=r"accuracy [\d.]+% in int8, [\d.]+% in 32 bits, .*at most -101 points"):
        export(untrained, tmp_path / "out", precision="int8", max_drop=-101)
    assert list(tmp_path.iterdir()) == []


def test_wrong_precisions(untrained: Run, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"'int3'.*int8-dynamic or fp16"):
        export(untrained, tmp_path / "out", precision="int3")
    with pytest.raises(BadSetting, match="0 of 40 images to calibrate on"):
        export(untrained, tmp_path / "out", precision="int8", calibration_images=0)
    with pytest.raises(Unsupported, match="--target onnx"):
        export(untrained, tmp_path / "out", target="lava", precision="int8")
