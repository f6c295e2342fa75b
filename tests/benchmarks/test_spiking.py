"""Spiking speed: every comparison is made on equal spikes, and has its figures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from neuroprompt.benchmarks import batched, rivals
from neuroprompt.benchmarks.batched import bench_batch
from neuroprompt.benchmarks.nets import lif_net, one_to_one_net, random_net
from neuroprompt.benchmarks.rivals import OWN_LOOP, Fired, bench_rivals
from neuroprompt.benchmarks.spiking import _again, _runs, _timed, bench_spiking
from neuroprompt.contracts.deployment import Availability, Spikes, SpikingTarget, Target
from neuroprompt.errors import BadSetting, ParityError
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.progress import SILENT
from neuroprompt.spiking.program import SpikingModel


@pytest.fixture
def few_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets of a few items."""
    for name, count in {"SINGLE": 4, "BATCH": 64, "CNN_SINGLE": 1, "CNN_BATCH": 2}.items():
        monkeypatch.setattr(batched, name, count)


@pytest.mark.usefixtures("few_items")
def test_without_lava_its_columns_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Target.part("lava"), "available", lambda: Availability(False, "", "", "run 'this'"))
    result = bench_spiking(steps=6, width=16, layers=2, rounds=1, rivals={}, rival_items=65)
    assert result.lava == "run 'this'"
    assert set(result.converter.seconds) == {"emulator"}
    assert list(result.lanes) == [1, 2, 4, 8, 16]
    assert {(net.width, net.depth) for net in result.grid} >= {(2, 1), (8, 1), (32, 1), (8, 8)}
    assert set(result.sparse) == {6, 60}
    for timed in (*result.lanes.values(), *(net.timed for net in result.grid)):
        assert timed.seconds["emulator"] > 0
    for sparse in result.sparse.values():
        assert set(sparse.ms) == {"0.01", "0.05", "0.1", "0.2", "0.5"}
        assert sparse.ratio["0.5"].median == 1


@pytest.mark.usefixtures("few_items")
def test_the_json_has_the_keys_that_it_always_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Target.part("lava"), "available", lambda: Availability(False, "", "", "run 'this'"))
    result = bench_spiking(steps=4, width=8, layers=1, rounds=1, rivals={"snntorch": "float"}, rival_items=96)
    values = json.loads(json.dumps(result.json(), allow_nan=False))
    settings = {"steps", "width", "layers", "rounds", "lava"}
    assert set(values) == settings | {
        "converter",
        "spikes",
        "lanes",
        "grid",
        "batch",
        "sparse",
        "lava_again",
        "lava_again_mlp",
        "batch_cnn",
    }
    timed = {"seconds", "ratio", "quartiles"}
    assert set(values["converter"]) == timed
    assert set(values["lanes"]["16"]) == timed | {"spikes", "per_image"}
    assert set(values["batch"]["items_per_second"]) == {"single", "batched", "first_product"}
    assert set(values["batch"]["ratio"]) == {"batched_over_single", "batched_over_first_product"}
    assert set(values["batch"]["rivals"]) == {"snntorch", OWN_LOOP}
    figures = {"precision", "items_per_second", "batched_over_it", "quartiles", "why_not"}
    assert set(values["batch"]["rivals"]["snntorch"]) == figures
    assert set(values["batch_cnn"]["ratio"]) == {"batched_over_single"}
    assert values["batch_cnn"]["sizes"] == [2312, 4096, 1024, 128, 10]
    assert set(values["grid"]["4x8"]) == timed | {"spikes", "width", "depth", "ms"}
    assert set(values["sparse"]["40"]) == {"ms", "ratio", "quartiles"}


def test_a_plain_converter_our_lava_run_and_the_emulator_fire_alike(lava: SpikingTarget) -> None:
    timed = _timed(_runs(random_net(32, 2, 12, 0.3), True, plain=True), 1)
    assert set(timed.seconds) == {"emulator", "lava", "lava run()", "plain", "plain run()"}
    assert all(value > 0 for value in timed.seconds.values())
    assert {"plain_over_lava", "plain_over_lava_run", "lava_over_emulator"} <= set(timed.ratio)
    assert timed.spikes > 0
    assert set(_timed(_runs(one_to_one_net(8, 4, 3), True), 1).ratio) == {"lava_over_emulator"}


def test_lavas_first_and_second_run_of_a_program_are_timed(lava: SpikingTarget) -> None:
    """Ratios within a round; how far apart they are is measured on a quiet machine, by `bench --spiking`."""
    again = _again(random_net(16, 2, 4, 0.3), 1, SILENT)
    assert set(again.seconds) == {"first", "second"}
    assert set(again.ratio) == {"second_over_first"}
    assert again.json()["ratio"] == {"second_over_first": again.ratio["second_over_first"].median}
    assert again.spikes > 0


def test_all_layers_of_a_random_net_fire_at_about_its_rate() -> None:
    model, inputs = random_net(256, 3, 40, 0.2)
    for trace in simulate(model.fixed_program, inputs).values():
        assert 0.1 < trace.spikes.mean() < 0.3


def test_unequal_spikes_are_an_error() -> None:
    on, off = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    with pytest.raises(ParityError, match="differ"):
        _timed({"emulator": lambda: ({"spikes.a": on}, 0.0), "lava": lambda: ({"spikes.a": off}, 0.0)}, 1)


def test_a_batch_beats_single_runs_and_its_ratios_are_those_of_its_speeds() -> None:
    batch = bench_batch(rounds=3)
    speeds = batch.items_per_second
    assert batch.ratio["batched_over_single"].median > 2
    for name in ("single", "first_product"):
        between = batch.ratio[f"batched_over_{name}"]
        assert between.low <= between.median <= between.high
        assert speeds["batched"] > 0


def test_simulators_that_are_missing_or_fire_otherwise_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed with what to type, or with how many cells differ."""
    there = SpikingTarget.part("norse")
    monkeypatch.setattr(there, "available", lambda: Availability(False, "", "", "run 'this'"))
    monkeypatch.setattr(rivals, "_own_loop", lambda model: lambda spikes: _silent(model, spikes))
    listed = bench_rivals((20, 8, 4), 6, 0.3, rounds=1, many=70, targets={"norse": "float", "snntorch": "float"})
    assert listed["norse"].why_not == "not installed: run 'this'"
    assert "differ in" in listed[OWN_LOOP].why_not
    for name in ("norse", OWN_LOOP):
        assert listed[name].items_per_second is None
        assert listed[name].batched_over_it is None
    assert "differ" not in listed["snntorch"].why_not


def _silent(model: SpikingModel, spikes: Spikes) -> tuple[Fired, float]:
    return {p.name: np.zeros((*spikes.shape[:2], p.size), bool) for p in model.float_program.populations}, 1.0


def test_snntorchs_own_loop_fires_as_the_emulator() -> None:
    rng = np.random.default_rng(1)
    model = lif_net((30, 12, 5), 10, 0.3, rng)
    spikes = rng.random((40, 10, 30)) < 0.3
    fired, _ = rivals._own_loop(model)(spikes)
    for name, expected in SpikingTarget.named("loihi").run(model, spikes, "float").spikes.items():
        assert expected.any()
        assert np.array_equal(fired[name], expected)


def test_wrong_settings() -> None:
    with pytest.raises(BadSetting):
        bench_spiking(steps=0)
