"""A data set on the chip from the command: run, verify, their JSON, and mistakes in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from float_bounds import near
from in_turn import InTurn
from numpy.typing import NDArray
from sharded import timeless

from neuroprompt.bundles.data_run import opened, run_items
from neuroprompt.bundles.shards import Split
from neuroprompt.contracts.deployment import Prices, Recording, SpikingTarget
from neuroprompt.energy.count_spikes import count
from neuroprompt.energy.estimate import estimate
from neuroprompt.spiking.graph import write_graph
from neuroprompt.spiking.program import SpikingModel

Command = Callable[..., Any]
ITEMS, STEPS, CLASSES = 40, 10, 3


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A LIF layer that fires most for the class whose lines fire most."""
    weights = np.kron(np.eye(CLASSES), np.full((1, 4), 0.6)) - 0.11
    lif = nir.LIF(
        tau=np.full(CLASSES, 4e-4),
        r=np.ones(CLASSES),
        v_leak=np.zeros(CLASSES),
        v_threshold=np.full(CLASSES, 0.4),
        v_reset=np.zeros(CLASSES),
    )
    nodes = {"input": nir.Input({"input": np.array([12])}), "fc": nir.Linear(weights), "lif": lif}
    nodes["output"] = nir.Output({"output": np.array([CLASSES])})
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
    write_graph(nir.NIRGraph(nodes, edges, metadata={"dt": 1e-4}), tmp_path / "graph.nir")
    return tmp_path / "graph.nir"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Items whose label is the group of lines that fires more, and one in eight with another label."""
    rng = np.random.default_rng(0)
    shown = rng.integers(0, CLASSES, ITEMS)
    rates = np.where(np.arange(12)[None] // 4 == shown[:, None], 0.7, 0.2)
    spikes = rng.random((ITEMS, STEPS, 12)) < rates[:, None]
    labels = np.where(np.arange(ITEMS) % 8 == 0, (shown + 1) % CLASSES, shown)
    np.savez(tmp_path / "test.npz", inputs=spikes, labels=labels)
    return tmp_path / "test.npz"


def test_run_says_how_accurate_the_integers_are(command: Command, graph: Path, data: Path, tmp_path: Path) -> None:
    out, figure = tmp_path / "classes.csv", tmp_path / "confusion.png"
    done = command("run", graph, "--inputs", data, "--json", "--out", out, "--figure", figure)
    assert done.code == 0, done.err
    values = done.json
    assert {"items", "accuracy", "items_per_second", "spikes_per_item", "target", "precision"} <= set(values)
    assert (values["items"], values["target"], values["precision"]) == (ITEMS, "loihi", "fixed")
    assert values["items_per_second"] > 0
    assert 0.7 < values["accuracy"] < 0.95  # one label in eight is wrong
    model, items, _ = opened(graph, data, None, None)
    inputs = items.part(0, ITEMS)
    recordings = [SpikingTarget.named("loihi").run(model, x, "fixed") for x in inputs]
    spikes = [int(r.spikes["lif"].sum()) for r in recordings]
    predicted = [int(r.spikes["lif"].sum(axis=0).argmax()) for r in recordings]
    synops = [count(model.fixed_program, r, x).total.synops for r, x in zip(recordings, inputs, strict=True)]
    assert values["spikes_per_item"]["mean"] == near(float(np.mean(spikes)), ITEMS)
    assert values["spikes_per_item"]["sd"] == near(float(np.std(spikes)), 4 * ITEMS)
    assert values["synops_per_item"]["min"] == min(synops)
    energy, every = values["energy_per_item"], [energy_of(model, r, x) for r, x in zip(recordings, inputs, strict=True)]
    assert (energy["prices"], energy["note"]) == ("loihi", "Estimated, not measured")
    assert energy["mean"] == near(float(np.mean(every)), ITEMS)
    assert energy["sd"] == near(float(np.std(every)), 4 * ITEMS)
    assert (energy["min"], energy["max"]) == (min(every), max(every))
    assert values["synops_per_item"]["mean"] == near(float(np.mean(synops)), ITEMS)
    confusion = np.array(values["confusion"])
    assert confusion.sum() == ITEMS
    assert values["accuracy"] == np.trace(confusion) / ITEMS
    rows = out.read_text().splitlines()
    assert rows[0] == "item,predicted,label,spikes,synops"
    assert [int(row.split(",")[1]) for row in rows[1:]] == predicted
    assert figure.read_bytes().startswith(b"\x89PNG")


def energy_of(model: SpikingModel, recording: Recording, inputs: NDArray[Any]) -> float:
    """Of one item, counted node by node."""
    return estimate(count(model.fixed_program, recording, inputs).total, Prices.named("loihi")).joules


def test_parts_of_a_data_set_count_as_the_whole(graph: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_items(graph, data)
    monkeypatch.setattr("neuroprompt.simulators.items.CELLS", 3 * 12 * STEPS)
    parts = run_items(graph, data)
    for key in ("predicted", "spikes", "synops"):
        assert np.array_equal(getattr(whole.tally, key), getattr(parts.tally, key))


def test_verify_says_which_predictions_change(command: Command, graph: Path, data: Path) -> None:
    done = command("verify", graph, "--inputs", data, "--targets", "loihi,snntorch", "--json")
    assert done.code == 0, done.err
    values = done.json
    assert values["items"] == ITEMS
    assert values["reference"]["steps"] == STEPS
    for name in ("loihi-float", "snntorch"):
        target = values["targets"][name]
        assert (target["spike_exact"], target["changed"]) == (1.0, 0)
        assert target["accuracy"] == values["reference"]["accuracy"]
    alone = command("run", graph, "--inputs", data, "--json").json
    for key in ("spikes_per_item", "synops_per_item", "energy_per_item"):
        assert values["targets"]["loihi-fixed"][key] == alone[key]
    assert values["targets"]["loihi-fixed"]["accuracy"] == alone["accuracy"]
    words = command("verify", graph, "--inputs", data, "--targets", "loihi").out
    assert "predictions are not the reference's" in " ".join(words.split())


def test_without_labels_there_is_no_accuracy(command: Command, graph: Path, data: Path, tmp_path: Path) -> None:
    with np.load(data) as arrays:
        np.save(tmp_path / "x.npy", arrays["inputs"])
    values = command("run", graph, "--inputs", tmp_path / "x.npy", "--json").json
    assert values["accuracy"] is None
    assert values["confusion"] is None
    assert (
        command("verify", graph, "--inputs", tmp_path / "x.npy", "--targets", "loihi", "--json").json["items"] == ITEMS
    )


def test_a_bundle_runs_a_data_set_on_its_own_integers(
    command: Command, graph: Path, data: Path, tmp_path: Path
) -> None:
    bundle, spikes = tmp_path / "bundle", ("--steps", STEPS, "--input", "poisson:0.4")
    done = command("export", graph, "--target", "lava", *spikes, "--out", bundle)
    assert done.code == 0, done.err
    values = command("run", bundle, "--inputs", data, "--json").json
    assert values["accuracy"] > 0.7
    refused(command("run", bundle, "--inputs", data, "--steps", 5), "a bundle has its own")


def test_the_integers_are_calibrated_on_samples(command: Command, graph: Path, data: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    done = command("export", graph, "--target", "lava", "--calibrate", data, "--out", bundle, "--json")
    assert done.code == 0, done.err
    assert done.json["about"]["steps"] == STEPS
    with np.load(data) as arrays:
        assert np.array_equal(np.load(bundle / "inputs.npy"), arrays["inputs"][0])
    verified = command("verify", bundle, "--inputs", data, "--targets", "loihi", "--json").json
    assert verified["targets"]["loihi-fixed"]["spike_exact"] > 0.99
    dumped = command("export", graph, "--target", "lava", "--calibrate", data, "--dump")
    assert dumped.code == 0, dumped.err
    np.save(tmp_path / "wide.npy", np.zeros((2, STEPS, 13)))
    wide = command("export", graph, "--target", "lava", "--calibrate", tmp_path / "wide.npy", "--out", tmp_path / "x")
    refused(wide, "the graph has 12 input lines")
    assert not (tmp_path / "x").exists()


def refused(result: Any, *words: str) -> None:
    assert result.code == 2, result
    (line,) = [line for line in result.err.splitlines() if line.startswith("error:")]
    for word in words:
        assert word in line, line


def test_mistakes_are_one_line(command: Command, graph: Path, data: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.zeros(ITEMS - 1, int))
    np.save(tmp_path / "many.npy", np.full(ITEMS, CLASSES))
    np.save(tmp_path / "wide.npy", np.zeros((2, STEPS, 13)))
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "nan.npy", np.where(np.arange(120).reshape(1, STEPS, 12) == 7, np.nan, 0.0))
    for verb in ("run", "verify"):
        refused(command(verb, graph, "--inputs", data, "--labels", tmp_path / "few.npy"), "one for each item")
        refused(command(verb, graph, "--inputs", data, "--labels", tmp_path / "many.npy"), "the model has 3")
        refused(command(verb, graph, "--inputs", tmp_path / "wide.npy"), "the graph has 12 input lines")
        refused(command(verb, graph, "--inputs", tmp_path / "empty.npy"), "cannot be read")
        refused(command(verb, graph, "--inputs", tmp_path / "nan.npy"), "NaN or infinity in item 0")
        refused(command(verb, graph, "--inputs", data, "--decode", "rank"), "rate, first-spike, potential")
        refused(command(verb, graph, "--labels", tmp_path / "few.npy"), "--inputs FILE beside it")
        refused(command(verb, graph, "--inputs", data, "--figure", "a.txt"), "a.txt")
        refused(command(verb, graph, "--inputs", data, "--prices", "joule"), "joule")
        refused(command(verb, graph, "--prices", "speck"), "--inputs FILE beside it")
    refused(command("run", graph, "--inputs", data, "--threads", 2), "images")
    refused(command("run", graph, "--inputs", data, "--target", "snntorch"), "snntorch: float")
    refused(command("run", graph, "--inputs", data, "--out", "a.npz"), ".csv")


# --- shards ----------------------------------------------------------------------------------------------------------


def test_shards_on_an_engine_give_what_one_run_gives(
    command: Command, graph: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the items; the same command again takes the files that are there."""
    monkeypatch.setattr("neuroprompt.contracts.work.Engine.named", lambda *_, **__: InTurn())
    words = ("--inputs", data, "--json")
    split = ("--engine", "local", "--shards", 2, "--work", tmp_path / "work")
    for verb, more in (("run", ("--out", tmp_path / "a.csv")), ("verify", ("--targets", "loihi"))):
        whole = command(verb, graph, *words, *more)
        written = (tmp_path / "a.csv").read_bytes()
        sharded = command(verb, graph, *words, *more, *split)
        assert sharded.code == 0, sharded.err
        assert timeless(sharded.json) == timeless(whole.json)
        assert (tmp_path / "a.csv").read_bytes() == written
    files = sorted((tmp_path / "work").glob("*/shard.npz"))
    assert len(files) == 4
    before = [file.stat().st_mtime_ns for file in files]
    files[0].unlink()
    again = [command(verb, graph, *words, *more, *split) for verb, more in (("run", ()), ("verify", more))]
    assert [result.code for result in again] == [0, 0]
    assert [file.stat().st_mtime_ns for file in files][1:] == before[1:]
    assert files[0].exists()
    sound = files[0].read_bytes()
    for wrong in (files[1].read_bytes(), sound[:-9], sound[:200] + b"?" + sound[201:], b""):  # another's, or damaged
        files[0].write_bytes(wrong)
        rejected = [command(verb, graph, *words, *more, *split) for verb, more in (("run", ()), ("verify", more))]
        assert sorted(result.code for result in rejected) == [0, 2]
        assert "shard.npz is not the file of this shard" in "".join(result.err for result in rejected)


def test_a_shard_that_fails_is_one_line(command: Command, graph: Path, data: Path, tmp_path: Path) -> None:
    split = ("--engine", "local", "--shards", 2)
    failed = command("run", graph, "--inputs", data, *split, "--decode", "rank")
    refused(failed, "shard 1 of 2", "rate, first-spike, potential")
    refused(command("run", graph, "--inputs", data, "--shards", 2), "--engine beside it")
    refused(command("run", graph, "--inputs", data, "--engine", "cloud"), "local")
    for verb in ("run", "verify"):
        refused(command(verb, graph, "--engine", "local"), "--inputs FILE beside it")
        refused(command(verb, graph, "--inputs", data, *split[:3], 0), "shards 0")
        refused(command(verb, graph, "--inputs", data, "--shard", "2/2:x.npz"), "INDEX/COUNT:FILE")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the worker is found in /proc")
def test_a_killed_worker_is_one_line_and_the_same_command_goes_on(graph: Path, data: Path, tmp_path: Path) -> None:
    """The other shard's file is kept, and nothing of the killed one."""
    words = ["run", str(graph), "--inputs", str(data), "--json", "--engine", "local", "--shards", "2"]
    words += ["--work", str(tmp_path / "work")]
    command = [sys.executable, "-m", "neuroprompt", *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (workers := processes_with(f"0/2:{tmp_path}")):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    said, noted = child.communicate(timeout=300)
    assert (child.returncode, said) == (2, ""), noted
    assert "shard 1 of 2 was killed by signal 9" in json.loads(noted.splitlines()[-1])["error"]["message"]
    assert [file.parent.name[-6:] for file in (tmp_path / "work").glob("*/shard.npz")] == ["1-of-2"]
    again = run_items(graph, data, split=Split(InTurn(), 2, tmp_path / "work"))
    assert np.array_equal(again.tally.predicted, run_items(graph, data).tally.predicted)


def processes_with(word: str) -> list[int]:
    """Processes whose command line holds it."""
    pids = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and word.encode() in (folder / "cmdline").read_bytes():
                pids.append(int(folder.name))
    return pids
