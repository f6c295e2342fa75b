"""NIR graphs of ours: what their metadata say, and how they become files."""

from __future__ import annotations

import io
from pathlib import Path

import nir
import numpy as np

from neuroprompt.errors import BadGraph, BadSetting
from neuroprompt.files import write_whole

FORMAT = "neuroprompt-nir-1"
RESET = "zero, same step"


def write_graph(graph: nir.NIRGraph, path: Path | str) -> None:
    """Write `graph` as HDF5, whole or not at all; raises CannotWrite."""
    buffer = io.BytesIO()
    nir.write(buffer, _with_names(graph))
    write_whole(Path(path), buffer.getvalue())


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
