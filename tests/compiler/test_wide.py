"""Weights of more than 8 bits: nearer to float on inputs that they were not fitted on, and alike on every chip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray
from random_graphs import whole_weights

from neuroprompt.compiler.compile import calibrated, model_of_graph, model_of_items
from neuroprompt.compiler.place import place
from neuroprompt.compiler.widths import width_words
from neuroprompt.contracts.deployment import Exporter, SpikingTarget
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.spiking.time_step import DT_SECONDS

Array = NDArray[np.float64]
STEPS, LINES = 60, 40
AUTO = Wide()


def spikes(seed: int, *shape: int) -> Array:
    return (np.random.default_rng(seed).random((*shape, LINES)) < 0.2).astype(float)


def a_graph(seed: int = 2) -> nir.NIRGraph:
    """IF with a bias and delayed inputs, and CubaLIF that drives itself; one weight in 60 is 6 times as large."""
    rng = np.random.default_rng(seed)

    def weights(rows: int, columns: int, size: float) -> Array:
        return rng.normal(0.04, size, (rows, columns)) * np.where(rng.random((rows, columns)) < 1 / 60, 6.0, 1.0)

    def every(n: int, value: float) -> Array:
        return np.full(n, value)

    cuba: dict[str, Any] = {"tau_syn": every(12, 3e-4), "tau_mem": every(12, 8e-4), "w_in": every(12, 1.0)}
    nodes = {
        "input": nir.Input({"input": np.array([LINES])}),
        "w1": nir.Affine(weights(30, LINES, 0.15), rng.normal(0, 0.02, 30)),
        "late": nir.Delay(np.full(LINES, 2 * DT_SECONDS)),
        "w2": nir.Linear(weights(30, LINES, 0.05)),
        "if": nir.IF(every(30, 1.0), every(30, 1.0)),
        "w3": nir.Linear(weights(12, 30, 0.4)),
        "cuba": nir.CubaLIF(r=every(12, 1.0), v_leak=every(12, 0.0), v_threshold=every(12, 0.3), **cuba),
        "own": nir.Linear(weights(12, 12, 0.05)),
        "output": nir.Output({"output": np.array([12])}),
    }
    edges = [("input", "w1"), ("w1", "if"), ("input", "late"), ("late", "w2"), ("w2", "if"), ("if", "w3")]
    return nir.NIRGraph(nodes, [*edges, ("w3", "cuba"), ("cuba", "own"), ("own", "cuba"), ("cuba", "output")])


def held_out(model: SpikingModel) -> dict[str, float]:
    """The Jaccard index of every population on inputs that nothing was fitted on."""
    inputs = spikes(99, 20, STEPS)
    floats, fixed = (simulate(p, inputs) for p in (model.float_program, model.fixed_program))
    both = {name: (floats[name].spikes, fixed[name].spikes) for name in floats}
    assert all(a.sum() > 500 for a, _ in both.values())
    return {name: float((a & b).sum() / (a | b).sum()) for name, (a, b) in both.items()}


def test_wide_weights_are_nearer_to_float_on_other_inputs() -> None:
    items = spikes(0, 4, STEPS)
    eight, split, wide = (
        model_of_items(a_graph(), items, **ways) for ways in ({}, {"split_signs": True}, {"wide": AUTO})
    )
    errors = [{name: 1 - value for name, value in held_out(model).items()} for model in (eight, split, wide)]
    assert all(errors[2][name] < min(errors[0][name], errors[1][name]) / 2 for name in errors[2])
    assert min(held_out(wide).values()) > 0.97
    placed = place(wide.fixed_program)
    assert place(eight.fixed_program)["synapses"] <= placed["synapses"] <= 2 * place(split.fixed_program)["synapses"]
    assert placed["left"]["synapses"] == placed["chip"]["synapses"] - placed["synapses"]


def test_no_more_synapses_than_the_agreement_asked_for_needs() -> None:
    items = spikes(0, 4, STEPS)
    models = [model_of_items(a_graph(), items, wide=Wide(agreement=asked)) for asked in (0.5, 0.98, 1.0)]
    counts = [place(model.fixed_program)["synapses"] for model in models]
    assert counts == sorted(counts)
    assert counts[0] < counts[2]
    for model, asked in zip(models[:2], (0.5, 0.98), strict=True):
        assert model.scale_report["populations"]["if"]["jaccard"] >= asked
    lines = width_words(models[2])
    assert len(lines) == 3
    assert f"{counts[2]:,} synapses in all" in lines[-1]


def test_whole_weights_need_no_second_list() -> None:
    model = model_of_graph(whole_weights(LINES), STEPS, spikes(0, STEPS), wide=AUTO)
    assert len(model.fixed_program.projections) == 1
    assert set(held_out(model).values()) == {1.0}


def test_runs_of_a_batch_begin_from_rest() -> None:
    """The report is of all runs, each as it will run."""
    items = spikes(0, 3, STEPS)
    model = model_of_items(a_graph(), items, wide=AUTO)
    floats, fixed = (simulate(p, items) for p in (model.float_program, model.fixed_program))
    for name, report in model.scale_report["populations"].items():
        a, b = floats[name].spikes, fixed[name].spikes
        assert report["spike_match"] == (a == b).mean()


def test_bits_are_a_limit() -> None:
    items = spikes(0, 2, STEPS)
    for bits in (9, 11, 13):
        model = model_of_items(a_graph(), items, wide=Wide(bits, 1.0))
        for q in model.fixed_program.projections:
            assert np.abs(q.weights.values).max() * 2.0**q.exponent <= 256 * 2.0 ** (bits - 9)
    with pytest.raises(BadSetting, match="beside --split-signs"):
        model_of_graph(a_graph(), STEPS, items[0], split_signs=True, wide=AUTO)


@pytest.mark.parametrize(("bits", "agreement"), [("17", 0.9), ("many", 0.9), ("9", 0.0), ("auto", 1.1)])
def test_what_no_bits_are(bits: str, agreement: float) -> None:
    with pytest.raises(BadSetting, match="8 to 16" if agreement == 0.9 else "Jaccard"):
        Wide.of(bits, agreement)


def test_exports_carry_all_lists(tmp_path: Path) -> None:
    """C runs its self-test, with the emulator's spikes and potentials; a NIR file gives the same integers again."""
    items = spikes(0, 2, STEPS)
    Exporter.named("c").export_graph(a_graph(), tmp_path / "c", items, wide=AUTO)
    Exporter.named("nir").export_graph(a_graph(), tmp_path / "nir", items, wide=AUTO)
    file = next((tmp_path / "nir").glob("*.nir"))
    back = model_of_graph(nir.read(file), STEPS, items[0])
    right, _ = calibrated(a_graph(), items, wide=AUTO)
    assert len(right.fixed_program.projections) > 6
    assert back.fixed_program.to_bytes() == right.fixed_program.to_bytes()
    for target in ("netx", "c-float32"):
        with pytest.raises(Unsupported, match=r"8 bits for netx|--weight-bits in float32"):
            Exporter.named(target).export_graph(a_graph(), tmp_path / target, items, wide=AUTO)


@pytest.mark.slow
def test_lava_runs_them_as_the_emulator_does(lava: SpikingTarget) -> None:
    """Spikes, currents and potentials of real Lava 0.10.0."""
    model, tried = calibrated(a_graph(), spikes(0, 2, STEPS), wide=AUTO)
    into = [q for q in model.fixed_program.projections if q.exponent > 0]
    assert {q.target for q in into} == {"if", "cuba"}
    assert any(q.source == q.target for q in model.fixed_program.projections)
    verified = verify(replace(model, scale_report={}), tried, ["lava"])
    assert verified.reference.spikes > 300
    assert verified.targets["lava-fixed"].exact_with_emulator == 1.0
    assert verified.targets["lava-fixed"].states_exact_with_emulator is True
