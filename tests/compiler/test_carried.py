"""Integers in the metadata of a NIR file: they travel, they fit one graph only, and others see the graph alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from random_graphs import random_graph

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.compiler.carried import OF, PROGRAM, carried, carrying, without_integers
from neuroprompt.compiler.compile import floats_of_graph, model_of_graph
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import Exporter, SpikingTarget
from neuroprompt.spiking.program import SpikingModel

STEPS = 20


def spikes(model: SpikingModel, seed: int = 0) -> Any:
    shape = (model.steps, model.float_program.inputs)
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(float)


@pytest.fixture
def fitted() -> tuple[nir.NIRGraph, SpikingModel]:
    """A graph, and integers at a scale that no search would choose."""
    graph = random_graph(4)
    return graph, model_of_graph(graph, STEPS, spikes(model_of_graph(graph, STEPS)), 16.0)


def travelled(graph: nir.NIRGraph, model: SpikingModel, folder: Path) -> nir.NIRGraph:
    whole = carrying(graph, model.float_program, model.fixed_program, model.scale_report)
    nir.write(folder / "g.nir", whole)
    return read_graph(folder / "g.nir")


def test_the_integers_come_back_as_they_were(fitted: tuple[nir.NIRGraph, SpikingModel], tmp_path: Path) -> None:
    graph, model = fitted
    back = travelled(graph, model, tmp_path)
    for again in (model_of_graph(back, STEPS, spikes(model)), floats_of_graph(back, spikes(model))):
        assert again.fixed_program.to_bytes() == model.fixed_program.to_bytes()
        assert again.scale_report == model.scale_report
    longer = model_of_graph(back, 2 * STEPS)
    assert longer.fixed_program.steps == 2 * STEPS
    ran = SpikingTarget.named("loihi").run(longer, spikes(longer), "fixed")
    assert any(s.any() for s in ran.spikes.values())


def test_they_are_fitted_anew_where_asked_for(fitted: tuple[nir.NIRGraph, SpikingModel], tmp_path: Path) -> None:
    graph, model = fitted
    back = travelled(graph, model, tmp_path)
    plain = model_of_graph(graph, STEPS, spikes(model)).fixed_program.to_bytes()
    assert plain != model.fixed_program.to_bytes()
    assert model_of_graph(without_integers(back), STEPS, spikes(model)).fixed_program.to_bytes() == plain
    assert model_of_graph(back, STEPS, spikes(model), 16.0).scale_report == model.scale_report
    numbers = spikes(model) * 0.7
    refitted = floats_of_graph(back, numbers)
    assert refitted.quantisation_error is not None or refitted.fixed_program.input_scale > 0


def test_a_graph_that_was_changed_does_not_have_them(fitted: tuple[nir.NIRGraph, SpikingModel], tmp_path: Path) -> None:
    graph, model = fitted
    back = travelled(graph, model, tmp_path)
    name = next(n for n, node in back.nodes.items() if isinstance(node, (nir.Affine, nir.Linear)))
    back.nodes[name].weight = back.nodes[name].weight * 1.01
    assert carried(back, lower(back, STEPS), None) is None


@pytest.mark.parametrize(
    "change", [{PROGRAM: np.zeros(40, np.uint8)}, {PROGRAM: "x"}, {OF: 3}, {"loihi_scale_report": "{"}]
)
def test_damaged_ones_are_as_none(
    change: dict[str, Any], fitted: tuple[nir.NIRGraph, SpikingModel], tmp_path: Path
) -> None:
    graph, model = fitted
    back = travelled(graph, model, tmp_path)
    assert carried(back, model.float_program, None) is not None
    back.metadata = back.metadata | change
    assert carried(back, model.float_program, None) is None


def test_an_exported_file_keeps_them_and_its_nodes_are_the_same(tmp_path: Path) -> None:
    graph = random_graph(4)
    inputs = spikes(model_of_graph(graph, STEPS))
    done = Exporter.named("nir").export_graph(graph, tmp_path / "out", inputs, name="small")
    assert Bundle.open(tmp_path / "out", "nir").about["graph"] == "small"
    assert done.figures["integer_bytes"] > 0
    theirs = nir.read(tmp_path / "out" / "generator.nir")
    assert {name: type(node) for name, node in theirs.nodes.items()} == {n: type(x) for n, x in graph.nodes.items()}
    for name, node in graph.nodes.items():
        if isinstance(node, (nir.Affine, nir.Linear)):
            np.testing.assert_array_equal(theirs.nodes[name].weight, node.weight)
    lava = Exporter.named("lava").export_graph(
        read_graph(tmp_path / "out" / "generator.nir"), tmp_path / "lava", inputs
    )
    assert lava.figures["fixed_spike_exact"] == done.figures["fixed_spike_exact"]
