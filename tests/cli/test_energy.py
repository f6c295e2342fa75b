"""`neuroprompt energy`: lists side by side, a user's own, what is refused, and what stands on every figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from float_bounds import near
from PIL import Image
from sana_fe_nets import chain

MINE = """
title = "mine"
scope = "per term"
evidence = "datasheet"
technology = "22 nm"
voltage = "0.8 V"
leaves_out = "all but the core"
includes.spikes = "the data sheet's update emits"
prices.updates_active = { value = 3, unit = "pJ", source = "data sheet, 2026" }
prices.updates_inactive = { value = 2, unit = "pJ", source = "data sheet, 2026" }
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(MINE)
    return tmp_path / "mine.toml"


def test_several_lists_side_by_side(command: Any, lava_bundle: Path, mine: Path) -> None:
    words = f"loihi,{mine},horowitz-45nm-fp32,horowitz-45nm-int8"
    found = command("energy", lava_bundle, "--prices", words, "--json").json
    assert [line["prices"] for line in found["generator"]] == ["loihi", "mine"]
    assert [line["prices"] for line in found["backbone"]] == ["horowitz-45nm-fp32", "horowitz-45nm-int8"]
    assert len(found["totals"]) == 4
    assert all("stimated" in line["note"] for line in found["generator"] + found["backbone"] + found["totals"])
    own = found["generator"][1]
    fired, updates = own["counts"]["updates_active"], own["counts"]["updates"]
    assert own["joules"] == near((3 * fired + 2 * (updates - fired)) * 1e-12)
    assert found["break_even"]["bits"] == 3
    shown = command("energy", lava_bundle, "--prices", words).out
    assert "not measured" in shown
    assert "mine" in shown
    folder = command("energy", lava_bundle, "--prices", mine.parent, "--json").json
    assert [line["prices"] for line in folder["generator"]] == ["mine"]


def test_counts_by_node_and_by_file(command: Any, lava_bundle: Path, onnx_bundle: Path) -> None:
    found = command("energy", lava_bundle, "--json").json
    (image,) = found["counted"]["images"]
    assert image["total"] == found["generator"]["counts"]
    assert image["nodes"][0]["membrane_updates"] > 0
    assert 0 < image["activation_sparsity"] < 1
    assert "Counts by node" in command("energy", lava_bundle, "--by-node").out
    baked = command("energy", onnx_bundle, "--json").json
    assert baked["counted"]["files"]["model.onnx"]["macs"] == baked["backbone"]["counts"]["macs"]
    assert baked["backbone"]["counts"]["macs"] == found["backbone"]["counts"]["macs"], "the same backbone, baked"
    assert baked["break_even"] is None
    priced = command("energy", onnx_bundle, "--backbone-prices", "horowitz-45nm-fp32-memory", "--json").json
    assert priced["backbone"]["joules"] > baked["backbone"]["joules"]
    assert priced["backbone"]["not_priced"] == {}


def test_a_lava_bundle_with_the_onnx_file_of_its_run(command: Any, lava_bundle: Path, onnx_bundle: Path) -> None:
    memory = ("--prices", "horowitz-45nm-int8-memory")
    found = command("energy", lava_bundle, "--onnx", onnx_bundle, *memory, "--json").json
    assert found["generator"][0]["not_priced"] == found["backbone"][0]["not_priced"] == {}
    assert found["totals"][0]["share_generator"] > 0
    alone = command("energy", onnx_bundle, *memory, "--json").json
    assert found["backbone"] == alone["backbone"]
    refused(command("energy", lava_bundle, "--onnx", lava_bundle), "onnx")


def test_a_graph_of_anyones(command: Any, tmp_path: Path) -> None:
    parts = {
        "input": nir.Input(np.array([6])),
        "w": nir.Affine(np.ones((4, 6)), np.zeros(4)),
        "lif": nir.LIF(*(np.full(4, x) for x in (1e-3, 1.0, 0.0, 1.0))),
        "output": nir.Output(np.array([4])),
    }
    nir.write(tmp_path / "a.nir", nir.NIRGraph(parts, [("input", "w"), ("w", "lif"), ("lif", "output")]))
    words = ("energy", tmp_path / "a.nir", "--steps", "20", "--input", "poisson:0.25", "--json")
    found = command(*words).json
    counts = found["generator"]["counts"]
    assert (counts["updates"], counts["synops_dense"]) == (80, 480)
    assert counts["synops"] % 4 == 0
    assert 0.1 < counts["synops"] / 480 < 0.4
    assert found["break_even"]["steps"] == 20
    for target in ("snntorch", "loihi"):
        assert command(*words, "--target", target).json["generator"]["counts"] == counts
    refused(command("energy", tmp_path / "a.nir", "--steps", "20", "--measure"), "--measure", "bundle")
    refused(command(*words, "--target", "onnxruntime"), "onnxruntime")
    refused(command(*words, "--target", "reference", "--precision", "fixed"), "fixed", "reference", "--target loihi")


def test_effective_operations_on_images(command: Any, lava_bundle: Path, onnx_bundle: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 30, 90)).save(tmp_path / "a.png")
    found = command("energy", onnx_bundle, "--images", tmp_path, "--json").json
    effective = found["effective"]
    assert effective["images"] == 1
    assert 0.9 < (effective["macs"] + effective["acs"]) / found["backbone"]["counts"]["macs"] <= 1
    assert "effective on 1 image:" in command("energy", onnx_bundle, "--images", tmp_path / "a.png").out
    refused(command("energy", lava_bundle, "--images", tmp_path), "--images", "onnx")
    refused(command("energy", onnx_bundle, "--images", tmp_path / "b.png"), "b.png")
    both = command("energy", lava_bundle, "--onnx", onnx_bundle, "--images", tmp_path, "--json").json
    assert both["effective"] == effective


def test_measured_or_one_line_that_says_why_not(command: Any, onnx_bundle: Path, monkeypatch: Any) -> None:
    from neuroprompt.energy import measured as measured_energy
    from neuroprompt.energy import rapl

    monkeypatch.setattr(measured_energy, "zones", lambda: rapl.zones(onnx_bundle))  # a folder without counters
    found = command("energy", onnx_bundle, "--measure", "--json").json
    assert found["measured"]["joules"] is None
    assert "RAPL" in found["measured"]["reason"]
    shown = command("energy", onnx_bundle, "--measure")
    assert shown.code == 0
    assert "measured: not here" in shown.out


@pytest.mark.parametrize(
    "case",
    [
        (', unit = "pJ"', "", "no unit"),
        ("value = 3", "value = -3", "-3"),
        ("updates_active", "updates_aktive", "updates_aktive"),
        ('voltage = "0.8 V"', "", "voltage"),
        ("title", "][", "cannot be read"),
    ],
)
def test_a_wrong_list_is_one_line_and_exit_code_2(
    case: tuple[str, str, str], command: Any, lava_bundle: Path, mine: Path
) -> None:
    old, new, said = case
    mine.write_text(MINE.replace(old, new, 1))
    refused(command("energy", lava_bundle, "--prices", mine), said, "mine.toml")
    refused(command("energy", lava_bundle, "--generator-prices", mine), said, "mine.toml")


def test_what_cannot_be_priced_is_one_line_and_exit_code_2(command: Any, lava_bundle: Path) -> None:
    refused(command("energy", lava_bundle, "--prices", "darwin3"), "updates_inactive", "darwin3")
    refused(command("energy", lava_bundle, "--generator-prices", "truenorth"), "spikes", "truenorth")
    refused(command("energy", lava_bundle, "--generator-prices", "speck"), "speck", "--seconds")
    refused(command("energy", lava_bundle, "--backbone-prices", "horowitz-45nm-fp32-memory"), "traffic", "ONNX")
    refused(command("energy", lava_bundle, "--prices", "loihi,loihi"), "twice")
    refused(command("energy", lava_bundle, "--prices", "nowhere.toml"), "nowhere.toml")


def refused(result: Any, *said: str) -> None:
    assert result.code == 2
    assert result.out == ""
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert all(word in result.err for word in said), result.err


def test_the_measurement_runs_where_there_are_counters(onnx_bundle: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.energy import measured as measured_energy
    from neuroprompt.energy import rapl

    (tmp_path / "intel-rapl:0").mkdir()
    for name, text in {"name": "package-0", "energy_uj": "5", "max_energy_range_uj": "1000000"}.items():
        (tmp_path / "intel-rapl:0" / name).write_text(text)
    monkeypatch.setattr(measured_energy, "zones", lambda: rapl.zones(tmp_path))
    monkeypatch.setattr(measured_energy, "measure", lambda run, seconds: rapl.measure(run, seconds, tmp_path))
    found = measured_energy.measured(Bundle.open(onnx_bundle), seconds=0.01)
    assert found.files.keys() == {"model.onnx"}
    assert found.joules == 0, "nothing moved this counter"
    assert found.json()["evidence"] == "measured"


def test_a_run_on_a_loihi_1_is_priced_timed_and_drawn(command: Any, tmp_path: Path) -> None:
    graph, inputs = chain((20, 30, 5), 4, 0.3)
    nir.write(tmp_path / "net.nir", graph)
    np.save(tmp_path / "x.npy", inputs)
    words = ("energy", tmp_path / "net.nir", "--input", tmp_path / "x.npy", "--target", "loihi", "--precision", "fixed")
    result = command(*words, "--chip", tmp_path / "cores.svg")
    assert (tmp_path / "cores.svg").read_text().lstrip().startswith("<?xml")
    for text in ("on a Loihi 1, 1 core", "us a run of 6 steps", "energy-delay product", "estimated, not measured"):
        assert text in " ".join(result.out.split())
    found = command(*words, "--json").json
    assert found["loihi1"]["latency"]["steps"] == 6
    assert found["loihi1"]["energy_delay_js"] == found["loihi1"]["joules"] * found["loihi1"]["latency"]["run_s"]
    bad = command(*words, "--chip", tmp_path / "cores.gif")
    assert bad.code == 2
    assert "expected a name that ends in .png or .svg" in bad.err
