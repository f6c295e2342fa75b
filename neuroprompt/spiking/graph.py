"""NIR graphs of ours: what their metadata say, and how they become files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nir
import numpy as np

from neuroprompt.errors import BadGraph, BadSetting
from neuroprompt.files import write_whole

FORMAT = "neuroprompt-nir-1"
RESET = "zero, same step"


def write_graph(graph: nir.NIRGraph, path: Path | str) -> None:
    """Write `graph` as HDF5, whole or not at all; raises CannotWrite."""
    buffer = io.BytesIO()
    graph = _with_names(graph)
    # HDF5 compresses no arrays of no dimension, which some libraries' files hold.
    nir.write(buffer, graph, compression=None if _has_numbers(graph) else "gzip")
    write_whole(Path(path), buffer.getvalue())


def _has_numbers(graph: nir.NIRGraph) -> bool:
    return any(
        _has_numbers(node) if isinstance(node, nir.NIRGraph) else any(np.shape(v) == () for v in _arrays(node))
        for node in graph.nodes.values()
    )


def _arrays(node: nir.NIRNode) -> list[Any]:
    return [value for value in vars(node).values() if isinstance(value, (np.ndarray, np.generic, float))]


def _with_names(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph with every name a text, as HDF5 takes them."""
    nodes = {str(k): _with_names(v) if isinstance(v, nir.NIRGraph) else v for k, v in graph.nodes.items()}
    edges = [(str(source), str(target)) for source, target in graph.edges]
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)


def steps_of(graph: nir.NIRGraph) -> int:
    """The number of time steps that the graph was made for; raises BadSetting where it does not say."""
    if "steps" not in graph.metadata:
        got = "the graph does not say for how many steps it runs"
        raise BadSetting(got, "a number of steps", "for example --steps 100")
    steps = np.asarray(graph.metadata["steps"])
    if steps.dtype.kind not in "iu" or steps.size != 1 or int(steps.reshape(-1)[0]) < 1:
        raise BadGraph(f"the graph's steps are {graph.metadata['steps']!r}", "a whole number above 0")
    return int(steps.reshape(-1)[0])
