"""Integer programs of generated graphs, alone or many of them as one, for emulators that start slowly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import nir
import numpy as np
from numpy.typing import NDArray
from random_graphs import random_graph
from scipy.sparse import csr_matrix, hstack

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.lower import lower
from neuroprompt.errors import NeuropromptError
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

Floats = NDArray[np.float64]
STEPS = 25


def fixed_nets(first: int = 0) -> Iterator[tuple[Program, Floats]]:
    """Integer programs of generated graphs with spikes as inputs that fire on the chip, from the seed `first` on."""
    seed = first
    while True:
        graph, rng = random_graph(seed), np.random.default_rng(seed)
        seed += 1
        inputs = (rng.random((STEPS, lower(graph, STEPS).inputs)) < 0.4).astype(np.float64)
        try:
            program = model_of_graph(graph, STEPS, inputs).fixed_program
        except NeuropromptError:
            continue
        if any(trace.spikes.any() for trace in simulate(program, inputs).values()):
            yield program, inputs


def side_by_side(nets: list[tuple[Program, Floats]]) -> tuple[SpikingModel, Floats]:
    """All of them as one model, each with input lines of its own."""
    inputs = np.concatenate([x for _, x in nets], axis=1)
    populations: list[Population] = []
    projections: list[Projection] = []
    first = 0
    for i, (program, _) in enumerate(nets):
        named = {p.name: f"net{i}.{p.name}" for p in program.populations} | {"input": "input"}
        populations += [replace(p, name=named[p.name]) for p in program.populations]
        after = inputs.shape[1] - first - program.inputs
        for q in program.projections:
            weights = q.weights
            if q.source == "input":
                rows = weights.shape[0]
                parts = [
                    csr_matrix((rows, first), dtype=np.int32),
                    weights.rows(),
                    csr_matrix((rows, after), dtype=np.int32),
                ]
                weights = Weights(csr_matrix(hstack(parts)).astype(np.int32))
            projections.append(replace(q, source=named[q.source], target=named[q.target], weights=weights))
        first += program.inputs
    together = replace(nets[0][0], inputs=first, populations=tuple(populations), projections=tuple(projections))
    return model_of(together), inputs


def model_of(program: Program) -> SpikingModel:
    """A model of its integers alone."""
    return SpikingModel(nir.NIRGraph({}, [], type_check=False), program, program)
