"""How much of a chip a program takes, and the dump of every stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_graphs import random_graph

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.dump import dump
from neuroprompt.compiler.flatten import flatten
from neuroprompt.compiler.place import place
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights


def program(size: int, weights: int) -> Program:
    population = Population("big", size, 4095, 10, 5, np.zeros(size, np.int32), 6, depth=1)
    dense = np.random.default_rng(0).integers(1, 256, (size, weights // size), np.uint8)
    return Program("fixed", 3, dense.shape[1], (population,), (Projection("input", "big", Weights(dense)),))


def test_cores_are_the_larger_of_what_neurons_and_weights_need() -> None:
    assert place(program(8192, 8192))["cores"] == 1
    assert place(program(8193, 8193))["cores"] == 2
    many = place(program(1000, 1_000_000))  # a million bytes of 192 KiB each
    assert (many["cores"], many["synapses"], many["neurons"]) == (6, 1_000_000, 1000)
    assert many["too_large"] == []


def test_populations_may_share_a_core() -> None:
    """8,192 neurons in two populations fill one, and another neuron needs a second."""
    parts = [program(size, size).populations[0] for size in (8000, 192, 1)]
    two, three = (
        Program("fixed", 3, 1, tuple(replace(p, name=f"p{i}") for i, p in enumerate(parts[:count])), ())
        for count in (2, 3)
    )
    assert (place(two)["cores"], place(three)["cores"]) == (1, 2)


def test_what_is_too_large_is_named_with_what_would_have_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuroprompt.compiler.place.CORE_BYTES", 1024)
    (line,) = place(program(1000, 200_000))["too_large"]
    assert "cores, more than the 128 of a chip; node 'big' has most" in line
    assert "smaller layers" in line


def test_the_dump_names_every_node_and_stage() -> None:
    for seed in range(6):
        graph = random_graph(seed)
        flat = flatten(graph)
        inputs = (np.random.default_rng(seed).random((20, flat.lines)) < 0.4).astype(float)
        text = dump(flat, model_of_graph(graph, 20, inputs))
        for stage in ("flatten:", "normalise, schedule:", "quantise:", "place:"):
            assert stage in text
        assert all(f"  {n.name}: " in text for n in flat.nodes)


def test_weights_of_a_convolution_count_once() -> None:
    """A kernel of 3 weights over 2,000 pixels: two lists at each border, and one for all between."""
    pixels = 2000
    kernel = np.eye(pixels, k=1) * 5 + np.eye(pixels) * 7 + np.eye(pixels, k=-1) * 9
    population = Population("p", pixels, 4095, 10, 5, np.zeros(pixels, np.int32), 6, depth=1)
    projection = Projection("input", "p", Weights.best(kernel.astype(np.int32)))
    placed = place(Program("fixed", 3, pixels, (population,), (projection,)))["populations"]["p"]
    assert placed == {"neurons": pixels, "synapses": 3 * pixels - 2, "stored": 3 + 2 + 2, "cores": 1, "profiles": 1}
