"""NIR graphs from the command: exported, dumped, run, verified and drawn; mistakes in one line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from random_graphs import random_graph
from xylo_nets import layered

from neuroprompt.compiler import flatten as compiler
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import SpikingTarget, Target
from neuroprompt.errors import WorkerFailed
from neuroprompt.simulators.runtime import WORKERS, Runtime
from neuroprompt.spiking.graph import write_graph
from neuroprompt.spiking.time_step import DT_SECONDS

Command = Callable[..., Any]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Two layers with a recurrence, and a readout that never fires."""
    file = tmp_path / "graph.nir"
    write_graph(random_graph(5), file)
    return file


def refused(result: Any, *words: str) -> None:
    assert result.code == 2, result
    (line,) = [line for line in result.err.splitlines() if line.startswith("error:")]
    for word in words:
        assert word in line, line


def test_a_graph_becomes_a_bundle_that_verifies_itself(command: Command, graph: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = command("export", graph, "--target", "lava", "--steps", 40, "--input", "poisson:0.3", "--out", out, "--json")
    assert done.code == 0, done.err
    about = done.json["about"]
    assert (about["steps"], about["graph"]) == (40, "graph")
    assert about["placement"]["too_large"] == []
    assert done.json["float_spike_exact"] == 1.0
    assert np.load(out / "inputs.npy").shape[0] == 40
    found = command("verify", out, "--targets", "loihi,snntorch", "--json").json
    assert found["reference"]["steps"] == 40
    for target in ("loihi-float", "snntorch"):
        assert found["targets"][target]["spike_exact"] == 1.0
    counted = command("energy", out, "--json")
    assert counted.code == 0, counted.err
    assert counted.json["generator"]["counts"]["synops"] > 0
    assert command("run", out, "--target", "loihi", "--json").json["nodes"]["layer0_spk"]["steps"] == 40
    for verb in (("card", out), ("report", out, "--out", tmp_path / "r.html")):
        refused(command(*verb), "is a bundle of the NIR graph 'graph'")
    words = (out / "README.md").read_text()
    assert "graph for Intel's Lava and Loihi" in words
    assert "--inputs inputs.npy" in words


def test_the_bundles_script_runs_it_with_lava_alone(
    command: Command, graph: Path, tmp_path: Path, lava: SpikingTarget
) -> None:
    out = tmp_path / "out"
    assert command("export", graph, "--target", "lava", "--steps", 20, "--out", out).code == 0
    python = Runtime("lava", "3.10", WORKERS / "lava.txt").executable
    words = [
        str(python),
        str(out / "run_lava.py"),
        "--inputs",
        str(out / "inputs.npy"),
        "--out",
        str(tmp_path / "s.npz"),
    ]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    with np.load(tmp_path / "s.npz") as found:
        assert found["spikes.layer0_spk"].shape[0] == 20


def test_the_dump_prints_every_stage_and_writes_nothing(command: Command, graph: Path, tmp_path: Path) -> None:
    found = command("export", graph, "--target", "lava", "--steps", 10, "--dump", "--out", tmp_path / "out")
    assert found.code == 0
    for word in ("flatten:", "normalise, schedule:", "quantise:", "place:", "layer0_spk"):
        assert word in found.out
    assert not (tmp_path / "out").exists()
    lines = command("export", graph, "--target", "lava", "--steps", 10, "--dump", "--json").json["dump"]
    assert lines[0].startswith("flatten:")


def test_a_image_of_what_verify_found(command: Command, graph: Path, tmp_path: Path) -> None:
    for name, magic in (("v.png", b"\x89PNG"), ("v.svg", b"<?xml")):
        words = ("--steps", 20, "--targets", "snntorch,loihi", "--figure", tmp_path / name)
        done = command("verify", graph, *words)
        assert done.code == 0, done.err
        assert (tmp_path / name).read_bytes().startswith(magic)
        assert f"figure in {tmp_path / name}" in done.out.replace("\n", "")


def test_a_target_that_breaks_is_told_beside_the_others(
    command: Command, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise WorkerFailed("the worker was killed by signal 9")

    monkeypatch.setattr(Target.part("snntorch"), "run", broken)
    done = command("verify", graph, "--steps", 20, "--targets", "snntorch,loihi")
    assert done.code == 1
    assert "failed snntorch: the worker was killed by signal 9" in done.out
    assert "loihi" in done.out


def test_a_graph_is_verified_by_the_rules_of_a_loihi_1(command: Command, graph: Path) -> None:
    """Our emulator has them; Lava, which simulates a Loihi 2, is skipped or not installed."""
    done = command("verify", graph, "--steps", 20, "--targets", "loihi,lava", "--chip", "loihi1", "--json")
    assert done.code == 0, done.err
    assert {"loihi-float", "loihi-fixed"} <= set(done.json["targets"])
    assert "lava-fixed" not in done.json["targets"]
    assert command("verify", graph, "--steps", 20, "--chip", "loihi3").code == 2


def test_integers_travel_in_a_file_until_an_input_is_given(command: Command, graph: Path, tmp_path: Path) -> None:
    words = ("--steps", 30, "--input", "poisson:0.3")
    assert command("export", graph, "--target", "nir", *words, "--seed", 3, "--out", tmp_path / "nir").code == 0
    file = tmp_path / "nir" / "generator.nir"

    def program(*more: object) -> bytes:
        done = command("export", file, "--target", "lava", "--steps", 30, *more, "--out", tmp_path / "lava")
        assert done.code == 0, done.err
        return (tmp_path / "lava" / "program.fixed.npz").read_bytes()

    carried = program()
    assert carried == program("--seed", 7)
    fitted = command("export", graph, "--target", "lava", *words, "--seed", 3, "--out", tmp_path / "fitted")
    assert fitted.code == 0, fitted.err
    assert (tmp_path / "fitted" / "program.fixed.npz").read_bytes() == carried
    assert program("--input", "poisson:0.9") != carried


def test_mistakes_are_one_line(command: Command, graph: Path, tmp_path: Path) -> None:
    refused(command("export", graph, "--target", "lava"), "for how many steps")
    refused(command("export", graph, "--target", "onnx", "--steps", 5), "takes no NIR graph")
    refused(command("export", graph, "--target", "lava", "--steps", 5, "--input", "poisson:2"), "a rate from 0 to 1")
    refused(command("export", graph, "--target", "lava", "--steps", 5, "--dt", -1), "seconds above 0")
    refused(command("export", graph, "--target", "lava", "--steps", 0), "at least 1")
    refused(command("export", tmp_path, "--target", "lava", "--dump"), "--dump of a run")
    split = ("--steps", 5, "--split-signs")
    refused(command("export", graph, "--target", "netx", *split), "one matrix of weights a layer")
    refused(command("export", tmp_path, "--target", "lava", "--split-signs"), "--split-signs of a run")
    refused(command("verify", tmp_path, "--split-signs"), "a .nir file")
    wide = ("--steps", 5, "--weight-bits")
    refused(command("export", graph, "--target", "netx", *wide, "auto"), "one matrix of weights a layer")
    refused(command("export", graph, "--target", "lava", *wide, 17), "8 to 16, or auto")
    refused(command("verify", graph, *wide, "auto", "--split-signs"), "one of them")
    refused(command("verify", tmp_path, "--weight-bits", 10), "a .nir file")
    refused(command("export", tmp_path, "--target", "lava", "--weight-bits", 10), "--weight-bits of a run")
    refused(command("verify", graph, "--steps", 5, "--figure", "v.gif"), ".png or .svg")
    refused(command("verify", graph, "--steps", 5, "--input", "none.npy"), "none.npy")
    refused(command("verify", graph, "--steps", 10**12), "at most")
    np.save(tmp_path / "x.npy", np.ones((4, 1)))
    refused(command("verify", graph, "--input", tmp_path / "x.npy"), "numbers of shape")
    assert not list(tmp_path.glob("out*"))


def test_wide_weights_are_counted_and_drawn(command: Command, graph: Path, tmp_path: Path) -> None:
    words = ("--steps", 40, "--input", "poisson:0.3", "--weight-bits", "auto")
    done = command("verify", graph, *words, "--targets", "loihi", "--figure", tmp_path / "v.svg")
    assert done.code == 0, done.err
    assert "synapses in all; a Loihi 2 has" in " ".join(done.out.split())
    assert (tmp_path / "v.svg").read_text().count("<svg") == 1
    done = command("export", graph, "--target", "lava", *words, "--out", tmp_path / "lava", "--json")
    assert done.code == 0, done.err
    placement = json.loads(done.out)["about"]["placement"]
    assert placement["left"]["synapses"] == placement["chip"]["synapses"] - placement["synapses"]
    assert placement["widths"][-1].startswith(f"{placement['synapses']:,} synapses in all")


def test_verify_makes_a_graph_flat_once(command: Command, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the longest stage of a large graph, and the reference goes its own way."""
    calls: list[Any] = []
    unnested = compiler._unnested

    def counted(graph: Any) -> Any:
        calls.append(graph)
        return unnested(graph)

    monkeypatch.setattr(compiler, "_unnested", counted)
    done = command("verify", graph, "--steps", 9, "--targets", "loihi,snntorch")
    assert done.code == 0, done.err
    assert len(calls) == 1


def test_a_reset_that_subtracts_from_the_command(command: Command, tmp_path: Path) -> None:
    """verify, energy, run and export take --reset; what has integers only says what to change."""
    file = tmp_path / "graph.nir"
    write_graph(random_graph(3), file)
    common = ("--steps", 40, "--reset", "subtract")
    done = command("verify", file, *common, "--targets", "loihi,snntorch", "--json")
    assert done.code == 0, done.err
    assert set(done.json["reading"]["resets"].values()) == {"subtract"}
    assert {name: target["spike_exact"] for name, target in done.json["targets"].items()} == {
        "loihi-float": 1.0,
        "snntorch": 1.0,
    }
    assert "subtracts its threshold" in done.json["skipped"]["loihi-fixed"]
    plain = command("verify", file, "--steps", 40, "--targets", "loihi", "--json").json
    assert plain["reading"]["resets"] == {}
    assert plain["reference"]["spikes"] != done.json["reference"]["spikes"]
    counted = command("energy", file, *common, "--json").json["generator"]["counts"]
    assert counted["spikes"] == done.json["reference"]["spikes"]
    refused(command("export", file, *common, "--target", "lava", "--out", tmp_path / "out"), "train with a reset to 0")
    exported = command("export", file, *common, "--target", "c-float32", "--out", tmp_path / "c", "--json")
    assert exported.code == 0, exported.err
    assert exported.json["spikes"] == done.json["reference"]["spikes"]
    items = np.random.default_rng(0).random((3, 40, plain_lines(file))) < 0.4
    np.savez(tmp_path / "items.npz", inputs=items)
    words = ("run", file, "--inputs", tmp_path / "items.npz", "--reset", "subtract", "--precision", "float", "--json")
    assert command(*words).json["reading"]["resets"] == done.json["reading"]["resets"]
    refused(command("verify", file, "--steps", 40, "--reset", "soft"), "one of: zero, subtract")
    refused(command("run", tmp_path, "--reset", "subtract"), "--reset")


def plain_lines(file: Path) -> int:
    return compiler.flatten(read_graph(file)).lines


def test_xylo_from_the_command(command: Command, tmp_path: Path) -> None:
    """What fits runs with its scales; what does not is one line with the node."""
    file, data = tmp_path / "graph.nir", tmp_path / "data.npz"
    graph = layered(0)
    write_graph(nir.NIRGraph(graph.nodes, graph.edges, metadata={"dt": DT_SECONDS}, type_check=False), file)
    np.savez(data, inputs=(np.random.default_rng(0).random((3, 20, 8)) < 0.2).astype(float))
    done = command("verify", file, "--steps", 20, "--reset", "subtract", "--targets", "xylo", "--json")
    assert done.code == 0, done.err
    assert set(done.json["targets"]["xylo"]["scale_report"]["populations"]) == {"n1", "n3"}
    printed = command("verify", file, "--steps", 20, "--reset", "subtract", "--targets", "xylo")
    assert "xylo: scales, in its units for one of the graph's: n1" in " ".join(printed.out.split())
    ran = command("run", file, "--inputs", data, "--reset", "subtract", "--target", "xylo", "--json")
    assert (ran.code, ran.json["items"], ran.json["target"]) == (0, 3, "xylo")
    refused(command("run", file, "--inputs", data, "--target", "xylo"), "node 'n1' resets to a value")
    skipped = command("verify", file, "--steps", 20, "--targets", "xylo")
    assert skipped.code == 1
    assert "nothing was compared: none of --targets ran" in skipped.out
