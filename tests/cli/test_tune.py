"""`--tune` of export and verify: the same integers from both, on as many items of a data set as memory holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import load_model
from neuroprompt.bundles.data_run import opened
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.simulators.items import read_items
from neuroprompt.spiking.graph import write_graph

Command = Callable[..., Any]
ITEMS, STEPS, LINES, NEURONS = 12, 20, 10, 8


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """IF neurons with one weight that is large, so that 8 bits are coarse for all others."""
    weights = np.random.default_rng(0).normal(0.1, 0.3, (NEURONS, LINES))
    weights[0, 0] = 6.0
    rest, ones = np.zeros(NEURONS), np.ones(NEURONS)
    chain = nir.NIRGraph.from_list(nir.Linear(weights), nir.IF(r=ones, v_threshold=ones, v_reset=rest))
    write_graph(chain, tmp_path / "graph.nir")
    return tmp_path / "graph.nir"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    spikes = np.random.default_rng(1).random((ITEMS, STEPS, LINES)) < 0.3
    np.savez(tmp_path / "samples.npz", inputs=spikes, labels=np.zeros(ITEMS, int))
    return tmp_path / "samples.npz"


def untimed(tuned: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tuned.items() if key != "seconds"}


def test_export_and_verify_tune_alike(command: Command, graph: Path, data: Path, tmp_path: Path) -> None:
    bundle, tune = tmp_path / "bundle", ("--tune", 3, "--seed", 2, "--json")
    done = command("export", graph, "--target", "lava", "--calibrate", data, "--out", bundle, *tune)
    assert done.code == 0, done.err
    verified = command("verify", graph, "--inputs", data, "--targets", "loihi", *tune)
    assert verified.code == 0, verified.err
    tuned = verified.json["tuned"]
    assert untimed(tuned) == untimed(done.json["tuned"])
    assert (tuned["runs"], tuned["held_out"]) == (9, 3)
    model, _, _ = opened(graph, data, None, None, tuning=Tuning(3, 2))
    own = load_model(Bundle.open(bundle))
    for ours, theirs in zip(model.fixed_program.projections, own.fixed_program.projections, strict=True):
        assert np.array_equal(ours.weights.dense(), theirs.weights.dense())
    assert [p.vth for p in model.fixed_program.populations] == [p.vth for p in own.fixed_program.populations]


def test_random_spikes_are_eight_runs_and_one_that_was_held_out_is_tried(command: Command, graph: Path) -> None:
    options = ("--steps", STEPS, "--input", "poisson:0.3", "--tune", 2, "--targets", "loihi")
    done = command("verify", graph, *options, "--json")
    assert done.code == 0, done.err
    tuned = done.json["tuned"]
    assert (tuned["runs"], tuned["held_out"], tuned["rounds"]) == (6, 2, 2)
    assert done.json["reference"]["steps"] == STEPS
    assert "6 runs to learn from, 2 held out, 2 rounds" in " ".join(command("verify", graph, *options).out.split())


def test_a_part_of_a_large_data_set_is_read(
    command: Command, graph: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search holds arrays of all its items: those of 10,000 recordings would not fit."""
    monkeypatch.setattr("neuroprompt.simulators.items.CALIBRATION_CELLS", 4 * STEPS * (LINES + NEURONS))
    with np.load(data) as arrays:
        spikes = arrays["inputs"]
    runs = read_items(data, None, LINES).calibration(NEURONS)
    assert np.array_equal(runs, spikes[[0, 4, 7, 11]])
    done = command("export", graph, "--target", "lava", "--calibrate", data, "--out", tmp_path / "b", "--tune", 1)
    assert done.code == 0, done.err
    assert "calibrating on 4 of 12 items, spread over the data set" in done.err
    assert "3 runs to learn from, 1 held out" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tune", 0), "1 round or more"),
        (("--tune", 2), "--inputs FILE, or --input poisson:RATE"),
        (("--tune", 2, "--inputs", "samples.npz", "--engine", "local", "--shards", 2), "verify the bundle in shards"),
    ],
)
def test_mistakes_are_one_line(command: Command, graph: Path, data: Path, options: tuple[Any, ...], words: str) -> None:
    done = command("verify", graph, "--steps", STEPS, *(data if each == data.name else each for each in options))
    assert done.code == 2, done
    assert words in done.err
    assert len([line for line in done.err.splitlines() if line.startswith("error:")]) == 1
