"""Beside snn-mlir, the other way from NIR to C: which generated graphs each of them takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from fetched import fetched
from random_graphs import random_graph

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.lower import lower
from neuroprompt.csource.net import c_net

GRAPHS, STEPS = 30, 10


def taken(export: Any, graphs: list[nir.NIRGraph], folder: Path) -> int:
    """How many graphs it writes as MLIR; it names what it does not have as NotImplementedError or ValueError."""
    count = 0
    for graph in graphs:
        nir.write(folder / "graph.nir", graph)
        try:
            export(str(folder / "graph.nir"), str(folder / "graph.mlir"))
            count += 1
        except (NotImplementedError, ValueError):
            pass
    return count


@pytest.mark.slow
@pytest.mark.parametrize(("portable", "theirs"), [(True, GRAPHS), (False, 3)])
def test_snn_mlir_takes_as_many_graphs_as_the_documentation_says(portable: bool, theirs: int, tmp_path: Path) -> None:
    """docs/how-to/microcontroller.md: the portable ones all, of all primitives few; here every graph becomes C."""
    fetched("snn-mlir-1.0.0", "snn-mlir==1.0.0")
    import snn_mlir  # type: ignore[import-not-found]

    graphs = [random_graph(seed, portable=portable) for seed in range(GRAPHS)]
    assert taken(snn_mlir.export, graphs, tmp_path) == theirs
    for seed, graph in enumerate(graphs[:: GRAPHS // 5]):
        lines = np.random.default_rng(seed).random((STEPS, lower(graph, STEPS).inputs)) < 0.4
        assert c_net(model_of_graph(graph, STEPS, lines.astype(float)).fixed_program, "net").source
