"""Every verb on a small real run: what scripts rely on in `--json`, and help that shows examples."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_bounds import near
from materials import materials_of
from PIL import Image

from neuroprompt.cli._app import VERBS
from neuroprompt.contracts.deployment import Availability, ImageTarget, SpikingTarget, Target
from neuroprompt.contracts.learning import Prompt
from neuroprompt.onnxgraph.parity import TOLERANCE

Command = Callable[..., Any]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples(command: Command, verb: str) -> None:
    words = ("targets", "list") if verb == "targets" else (verb,)
    result = command(*words, "--help")
    assert result.code == 0
    assert "Examples" in result.out
    assert f"neuroprompt {verb}" in result.out
    assert "--json" in result.out


def test_train_wrote_a_run_of_safetensors_and_json(trained: Path) -> None:
    assert {p.suffix for p in trained.iterdir()} == {".json", ".safetensors", ".svg"}


def test_train_lists_the_settings_of_method_and_head(command: Command) -> None:
    words = ("train", "--method", "lor-vp", "--head", "frequency", "--help-settings")
    result = command(*words, "--json")
    assert result.code == 0
    (rank,) = result.json["settings"]
    assert (rank["name"], rank["type"], rank["default"]) == ("rank", "int", 4)
    assert [setting["name"] for setting in result.json["head_settings"]] == ["sources"]
    shown = command(*words).out
    assert "--set rank=" in shown
    assert "--head-set sources=" in shown
    assert "no settings" in command("train", "--method", "linear", "--help-settings").out


def test_a_finished_run_is_returned_at_once(command: Command, trained: Path) -> None:
    from neuroprompt.training.run_folder import Run

    before = {p.name: p.stat().st_mtime_ns for p in trained.iterdir()}
    words = ("--random-weights", "--limit", "30", "--epochs", "1", "--batch", "10", "--tokens", "2")
    result = command("train", *words, "--out", trained, "--json")
    assert result.code == 0
    assert result.json["prompt_parameters"] == sum(p.numel() for p in Run.load(trained).model.prompt.parameters())
    assert {p.name: p.stat().st_mtime_ns for p in trained.iterdir()} == before


def test_both_exports_carry_the_same_bits(onnx_bundle: Path, lava_bundle: Path) -> None:
    onnx, lava = (json.loads((b / "manifest.json").read_text())["about"] for b in (onnx_bundle, lava_bundle))
    assert onnx["bits_sha256"] == lava["bits_sha256"]


def test_run_labels_images(command: Command, onnx_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 50, 3), dtype=np.uint8)).save(file)
    result = command("run", onnx_bundle, file, "--json")
    assert result.code == 0
    (found,) = result.json["images"]
    assert found["label"] in [str(digit) for digit in range(10)]
    assert 0.1 <= found["probability"] <= 1


def test_run_gives_the_spikes_of_the_emulator(command: Command, lava_bundle: Path, tmp_path: Path) -> None:
    result = command("run", lava_bundle, "--target", "loihi", "--out", tmp_path / "spikes.npz", "--json")
    assert result.code == 0
    with np.load(tmp_path / "spikes.npz") as spikes:
        (node,) = result.json["nodes"].values()
        assert node["spikes"] == sum(int(spikes[name].sum()) for name in spikes.files) > 0


def test_run_on_the_real_lava_agrees_with_the_emulator(
    command: Command, lava_bundle: Path, lava: SpikingTarget
) -> None:
    results = [command("run", lava_bundle, "--target", target, "--json") for target in ("lava", "loihi")]
    assert [r.code for r in results] == [0, 0]
    assert results[0].json["nodes"] == results[1].json["nodes"]


def test_verify_says_what_scripts_rely_on(command: Command, lava_bundle: Path, lava: SpikingTarget) -> None:
    result = command("verify", lava_bundle, "--targets", "snntorch,loihi,lava", "--json")
    assert result.code == 0
    targets = result.json["targets"]
    assert set(targets) == {"snntorch", "loihi-float", "loihi-fixed", "lava-float", "lava-fixed"}
    for name, found in targets.items():
        assert found["spike_exact"] == 1.0, name
        assert found["first_mismatch"] is None
        assert found["spikes"] == result.json["reference"]["spikes"] > 0
    assert targets["lava-fixed"]["exact_with_emulator"] == 1.0
    assert targets["lava-fixed"]["states_exact_with_emulator"] is True


def test_verify_takes_a_nir_file_of_any_origin(command: Command, shared: Path) -> None:
    graph = shared / "nir-paper" / "lif_norse.nir"
    result = command(
        "verify", graph, "--targets", "snntorch,loihi", "--steps", "300", "--input", "poisson:0.9", "--json"
    )
    assert result.code == 0
    assert result.json["targets"]["snntorch"]["spike_exact"] == 1.0
    assert result.json["targets"]["snntorch"]["spikes"] > 0


def test_verify_takes_an_input_of_the_users(
    command: Command, shared: Path, tmp_path: Path, lava: SpikingTarget
) -> None:
    """The NIR paper's own input: its four spikes, Lava's integers too; and other numbers.

    Every other simulator has the four as well: tests/targets/test_real_graphs.py.
    """
    drive = np.genfromtxt(shared / "nir-paper" / "lif_norse.csv", delimiter=",")[:, :1]
    np.save(tmp_path / "drive.npy", drive)
    np.save(tmp_path / "numbers.npy", 1.5 * drive)
    graph = shared / "nir-paper" / "lif_norse.nir"
    targets = ("--targets", "snntorch,loihi,lava")
    result = command("verify", graph, "--input", tmp_path / "drive.npy", *targets, "--json").json
    assert result["reference"]["spikes"] == 4
    assert set(result["targets"]) >= {"snntorch", "loihi-float", "loihi-fixed", "lava-float", "lava-fixed"}
    assert {found["spike_exact"] for found in result["targets"].values()} == {1.0}
    more = command("verify", graph, "--input", tmp_path / "numbers.npy", "--targets", "snntorch,loihi", "--json").json
    assert more["reference"]["spikes"] > 4
    exact = {name: found["spike_exact"] for name, found in more["targets"].items()}
    assert exact["snntorch"] == exact["loihi-float"] == 1.0
    assert exact["loihi-fixed"] > 0.99  # the input's numbers become whole ones, at a scale of their own


def test_energy_gives_three_lines_and_says_estimated(command: Command, lava_bundle: Path) -> None:
    result = command("energy", lava_bundle, "--json")
    assert result.code == 0
    assert {"generator", "backbone", "total"} <= set(result.json)
    assert "stimated" in result.json["note"]
    assert result.json["backbone"]["counts"]["macs"] > 1e6
    assert result.json["total"]["joules"] == near(
        result.json["generator"]["joules"] + result.json["backbone"]["joules"]
    )


def test_bench_puts_all_forms_in_one_run(command: Command, onnx_bundle: Path) -> None:
    result = command("bench", onnx_bundle, "--rounds", "2", "--json")
    assert result.code == 0
    assert {"baked_over_bare", "naive_over_bare"} <= set(result.json["ratio"])
    assert set(result.json["ms"]) - {"web", "openvino", "openvino_bf16"} == {
        *("baked", "naive", "lean", "bare", "pytorch"),
        *("baked_fused", "lean_fused", "int8_dynamic"),
    }
    for precision, name in (("float", "openvino"), ("bf16", "openvino_bf16")):
        assert (name in result.json["ms"]) == ImageTarget.part("openvino").computes_in(precision)
    assert 0 < result.json["max_rel_diff"] <= TOLERANCE


def test_bench_of_a_folder_compares_with_the_model_alone(command: Command, onnx_bundle: Path) -> None:
    result = command("bench", onnx_bundle, "--bulk", "11", "--batch", "4", "--threads", "2", "--rounds", "1", "--json")
    assert result.code == 0
    speeds = result.json["images_per_second"]
    assert set(speeds) == {"run", "alone", "alone_at_once", "one_by_one"}
    assert result.json["ratio"] == {
        **{f"run_over_{name}": near(speeds["run"] / speeds[name]) for name in {*speeds} - {"run"}},
        "alone_at_once_over_one_by_one": near(speeds["alone_at_once"] / speeds["one_by_one"]),
    }
    assert (result.json["images"], result.json["batch"], result.json["threads"]) == (11, 4, 2)
    busy = command("bench", onnx_bundle, "--bulk", "11", "--threads", "2", "--rounds", "1", "--cpu-time", "--json")
    assert set(busy.json["images_per_second"]) == set(speeds) - {"alone"}
    assert (busy.json["cpu_time"], result.json["cpu_time"]) == (True, False)


def test_a_card_and_a_report(command: Command, trained: Path, lava_bundle: Path, tmp_path: Path) -> None:
    card = command("card", lava_bundle, "--license", "mit", "--json")
    assert card.code == 0
    assert Path(card.json["card"]).read_text() == card.json["text"]
    skip = ("--skip", "accuracy", "--skip", "verify")
    result = command("report", trained, lava_bundle, *skip, "--out", tmp_path / "r.html", "--json")
    assert result.code == 0
    assert Path(result.json["report"]).read_text().startswith("<!doctype html>")
    assert {"membranes-spike-nvpt", "energy-spike-nvpt"} <= set(result.json["figures"])
    assert "latency" in result.json["missing"]


def test_targets_lists_every_target(command: Command) -> None:
    assert set(command("targets", "list", "--json").json["targets"]) == set(Target.names())


def test_backbones_lists_what_takes_what(command: Command) -> None:
    listed = command("backbones", "test_vit", "--json").json
    assert listed["architectures"] == len(listed["models"]) == 5
    assert listed["pixels"] == listed["tokens"] == listed["baked"] == 5
    vit = listed["models"]["test_vit"]
    assert (vit["family"], vit["tokens"], vit["input_size"]) == ("vit", True, [3, 160, 160])
    assert vit["tags"] == ["r160_in1k"]
    printed = command("backbones", "qwen3_vit_88m")
    assert "qwen3_vit_88m_enc" in printed.out
    assert "no features" in printed.out
    without = command("backbones", "sam2_hiera_tiny", "--json").json["models"]["sam2_hiera_tiny"]
    assert "knows its blocks" in without["why_no_tokens"]
    assert vit["why_no_tokens"] == ""
    wrong = command("backbones", "nothing_like_it")
    assert wrong.code == 2


def test_methods_are_counted_on_a_backbone(command: Command) -> None:
    listed = command("methods", "--json").json
    assert set(listed["methods"]) == set(Prompt.names())
    left = {name: (m["macs"], m["constants"], m["left"]) for name, m in listed["methods"].items()}
    for name in ("full", "linear", "lora", "ssf"):
        assert left[name] == (0, 0, "nothing"), name
    # 6 blocks, 10 tokens, 128 channels: keys and values of each.
    for name in ("vpt-deep", "vfpt", "spt", "spike-nvpt"):
        assert left[name][1] == 2 * 6 * 10 * 128, name
        assert listed["methods"][name]["parameters"] == 6 * 10 * 128, name
    assert listed["methods"]["lora"]["parameters"] == 6 * 8 * (128 + 3 * 128)
    assert listed["methods"]["spike-lora"]["parameters"] == 6 * 8 * (128 + 3 * 128)
    assert listed["methods"]["e2vpt"]["parameters"] == 6 * (10 + 5) * 128 + 10 + 10 * 8
    assert left["e2vpt"][1] == 2 * 6 * (10 + 5) * 128
    assert left["vapt"][0] > 0
    on_resnet = command("methods", "--backbone", "test_resnet", "--json").json["methods"]
    assert on_resnet["vpt-deep"]["why"]
    assert on_resnet["lora"]["parameters"] > 0
    assert "nothing" in command("methods").out


def test_doctor_looks_at_all_of_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Availability(False, "own Python 3.10", "lava-nc 0.10.0", "run this")
    monkeypatch.setattr(Target.part("lava"), "available", lambda: missing)
    found = command("doctor", "--json").json
    checks = found["checks"]
    assert checks["target lava"] == {"ok": False, "found": "lava-nc 0.10.0, own Python 3.10", "fix": "run this"}
    assert found["ok"] is all(
        check["ok"] for name, check in checks.items() if not name.startswith(("target ", "extra "))
    )
    assert {"python", "torch", "onnxruntime", "disk", *(f"target {name}" for name in Target.names())} <= set(checks)


def test_doctor_redoes_the_comparison_of_a_bundle(command: Command, onnx_bundle: Path, lava_bundle: Path) -> None:
    result = command("doctor", onnx_bundle, "--json")
    assert result.code == 0
    for form in ("portable", "fused"):
        row = result.json["checks"][f"{form} in onnxruntime"]
        assert row["ok"]
        assert row["max_rel_diff"] <= row["tolerance"]
    assert command("doctor", lava_bundle).code == 2


@pytest.mark.slow
@pytest.mark.longest(70)
def test_the_demo_ends_with_a_report(
    command: Command, lava: SpikingTarget, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its spiking run is README's, which is finished already; a run of other settings would be refused."""
    shutil.copytree(materials_of(tmp_path_factory) / "runs" / "digits", tmp_path / "demo" / "runs" / "spike-nvpt")
    result = command("demo", "--out", tmp_path / "demo", "--json")
    assert result.code == 0
    assert result.json["same_bits"] is True
    assert result.json["report"] == str(tmp_path / "demo" / "report.html")
    page = (tmp_path / "demo" / "report.html").read_text()
    for figure in ("accuracy-under-noise", "prompt-spike-nvpt", "membranes-spike-nvpt", "latency-spike-nvpt"):
        assert f'<figure id="{figure}">' in page
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {"runs", "onnx", "lava", "report.html", "report_files"}


@pytest.mark.slow
def test_a_trained_prompt_of_vit_b_size_is_the_same_everywhere(
    command: Command, lava: SpikingTarget, tmp_path: Path
) -> None:
    # 12 blocks x 10 tokens x 768 channels, moved by real training steps; small images keep it short.
    backbone = ("--backbone", "vit_base_patch16_224", "--random-weights", "--image-size", "32")
    trained = command("train", *backbone, "--limit", 20, "--batch", 10, "--epochs", 1, "--out", tmp_path / "run")
    assert trained.code == 0
    assert command("export", tmp_path / "run", "--target", "lava", "--out", tmp_path / "lava").code == 0
    result = command("verify", tmp_path / "lava", "--json")
    assert result.code == 0
    assert result.json["reference"]["neurons"] == 12 * 10 * 768
    assert set(result.json["targets"]) >= {"snntorch", "loihi-float", "loihi-fixed", "lava-float", "lava-fixed"}
    assert all(found["spike_exact"] == 1.0 for found in result.json["targets"].values())
