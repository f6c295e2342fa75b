"""The netx file: lava-dl's own names and numbers, read back; what netx would run otherwise is refused by node."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import Exporter, SpikingTarget
from neuroprompt.errors import ParityError, Unsupported
from neuroprompt.simulators.netx import read_back, to_netx
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

part = importlib.import_module("neuroprompt.export.netx")


def layer(name: str, before: str, weights: Any, **other: Any) -> tuple[Population, Projection]:
    w = np.asarray(weights, np.int32)
    plain: dict[str, Any] = {"du": 4095, "dv": 400, "vth": 90, "bias_exp": 6, "depth": 1}
    plain["bias"] = np.zeros(len(w), np.int32)
    return Population(name, len(w), **(plain | other)), Projection(before, name, Weights(w))


def program(*layers: tuple[Population, Projection], more: tuple[Projection, ...] = ()) -> Program:
    populations, projections = zip(*layers, strict=True)
    return Program("fixed", 5, projections[0].weights.shape[1], populations, (*projections, *more))


def test_every_number_stands_where_netx_looks_for_it() -> None:
    first, second = layer("a", "input", [[2, -4, 6], [8, 0, -2]]), layer("b", "a", [[3, 5]], du=1000, depth=2)
    back = Projection("a", "a", Weights(np.array([[0, 2], [-6, 0]], np.int32)), lag=1)
    with h5py.File(io.BytesIO(to_netx(program(first, second, more=(back,))))) as net:
        assert sorted(net["layer"]) == ["0", "1", "2"]
        assert [net[f"layer/{i}/type"][0] for i in range(3)] == [b"input", b"dense_rec", b"dense"]
        assert net["layer/0/shape"][()].tolist() == [3]
        assert net["layer/1/weight"][()].tolist() == [[2, -4, 6], [8, 0, -2]]
        assert net["layer/1/weight_rec"][()].tolist() == [[0, 2], [-6, 0]]
        neuron = net["layer/2/neuron"]
        assert [int(neuron[key][()]) for key in ("iDecay", "vDecay", "vThMant")] == [1001, 400, 90]
        assert int(net["layer/1/neuron/iDecay"][()]) == 4096  # no memory


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"bias": np.array([3, 0], np.int32)}, "'a' has a bias"),
        ({"dv": np.array([3, 4])}, "'a' has decays or thresholds that differ"),
        ({"emits": "v"}, "'a' never fires"),
        ({"currents": ((0, np.ones(2)),)}, "'a' has a bias"),
    ],
)
def test_what_netx_would_run_otherwise_is_refused(changed: dict[str, Any], words: str) -> None:
    population, projection = layer("a", "input", [[2, 4], [6, 8]])
    with pytest.raises(Unsupported, match=words):
        to_netx(program((replace(population, **changed), projection)))
    with pytest.raises(Unsupported, match="weights that are all 0"):
        to_netx(program((population, replace(projection, weights=Weights(np.zeros((2, 2), np.int32))))))
    with pytest.raises(Unsupported, match="with an exponent"):
        to_netx(program((population, replace(projection, exponent=1))))


def test_a_graph_becomes_a_bundle(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ones = np.ones(4)
    node = nir.IF(r=ones, v_threshold=ones, v_reset=ones * 0)
    graph = nir.NIRGraph.from_list(nir.Linear(rng.normal(0.3, 0.4, (4, 6))), node)
    inputs = (rng.random((30, 6)) < 0.4).astype(float)
    about = Exporter.named("netx").export_graph(graph, tmp_path / "out", inputs, name="small").about
    bundle = Bundle.open(tmp_path / "out", "netx")
    assert bundle.about["sha256"] == about["sha256"]
    assert about["spike_match"] > 0.9
    with h5py.File(tmp_path / "out" / "network.net") as net:
        assert net["layer/1/weight"].shape == (4, 6)


def a_model() -> tuple[SpikingModel, Any]:
    rng = np.random.default_rng(0)
    ones = np.ones(4)
    node = nir.IF(r=ones, v_threshold=ones, v_reset=ones * 0)
    graph = nir.NIRGraph.from_list(nir.Linear(rng.normal(0.3, 0.4, (4, 6))), node)
    inputs = (rng.random((30, 6)) < 0.4).astype(float)
    return model_of_graph(graph, 30, inputs), inputs


def test_what_is_read_back_is_the_program() -> None:
    first, second = layer("a", "input", [[2, -4, 6], [8, 0, -2]]), layer("b", "a", [[3, 5]], du=1000, depth=2)
    back = Projection("a", "a", Weights(np.array([[0, 2], [-6, 0]], np.int32)), lag=1)
    written = program(first, second, more=(back,))
    again = read_back(written, to_netx(written))
    assert [(p.du, p.dv, p.vth) for p in again.populations] == [(p.du, p.dv, p.vth) for p in written.populations]
    by_ends = {(q.source, q.target): q.weights.dense() for q in written.projections}
    assert {(q.source, q.target) for q in again.projections} == set(by_ends)
    for q in again.projections:
        assert np.array_equal(q.weights.dense(), by_ends[q.source, q.target])
    with pytest.raises(ParityError, match="layers"):
        read_back(program(first), to_netx(written))
    with pytest.raises(ParityError, match="has weight_rec"):
        read_back(program(first, second), to_netx(written))


def test_without_lava_dl_the_emulator_runs_what_stands_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path))
    model, inputs = a_model()
    checked = part.check_net(model, to_netx(model.fixed_program), inputs)
    assert checked.checked_on == "our emulator (lava-dl is not installed)"
    right = SpikingTarget.named("reference").run(model, inputs, "float").spikes
    assert 10 < checked.checked_spikes < 2 * sum(int(s.sum()) for s in right.values())


def test_with_lava_dl_the_file_itself_is_run(overlaid: Callable[[str], SpikingTarget]) -> None:
    overlaid("lava-dl")
    model, inputs = a_model()
    checked = part.check_net(model, to_netx(model.fixed_program), inputs)
    assert checked.checked_on == "lava-dl 0.6.0"
    assert checked.checked_spikes > 10


def test_a_file_of_other_integers_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that gets one threshold wrong."""
    model, inputs = a_model()

    def wrong(program: Program) -> bytes:
        (p,) = program.populations
        return to_netx(replace(program, populations=(replace(p, vth=p.vth + 1),)))

    monkeypatch.setattr(part, "to_netx", wrong)
    with pytest.raises(ParityError, match="the file's integers are not the program's"):
        Exporter.named("netx").export_graph(model.graph, tmp_path / "out", inputs)
    assert not (tmp_path / "out").exists()
