"""Read: a NIR file as a graph, with limits that a damaged or hostile file cannot pass."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from neuroprompt.errors import BadGraph, BadSetting, NeuropromptError

MOST_BYTES = 2**31
"""What the arrays of a file may take once read (a chunked array may declare more than its file holds)."""
MOST_ITEMS = 100_000
DEEPEST = 100
"""Groups in groups; a graph in a graph is two."""


def read_graph(path: Path | str, dt: float | None = None) -> nir.NIRGraph:
    """Read a NIR file and check that it is sound in itself; raises BadGraph.

    Refused before anything is read: arrays of more than 2 GiB in all, graphs nested deeper than 50, links to other
    files or to a group that holds them. Types of nodes are not checked against each other here: `flatten` does. With
    `dt` the graph's time step becomes that, in seconds.
    """
    path = Path(path)
    if not path.is_file():
        raise BadGraph(f"there is no file {path}", "a NIR file (HDF5)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with h5py.File(path, "r") as file:
                _survey(file, path)
            graph = nir.read(path, type_check=False)
    except NeuropromptError:
        raise
    except (Exception, RecursionError, MemoryError) as error:  # nir and h5py raise whatever the bytes lead them to
        cause = f"{type(error).__name__}: {error}"
        raise BadGraph(f"{path} cannot be read as NIR ({cause[:200]})", "a whole NIR file (HDF5)") from error
    if not isinstance(graph, nir.NIRGraph):
        raise BadGraph(f"{path} holds a single {type(graph).__name__}", "a graph")
    if not isinstance(graph.metadata, dict):
        graph.metadata = {}
    if dt is not None:
        if not 0 < dt < np.inf:
            raise BadSetting(f"dt {dt}", "seconds above 0")
        graph.metadata = graph.metadata | {"dt": dt}
    return graph


def _survey(file: h5py.File, path: Path) -> None:
    """Walk the file by its links, without reading an array; raises BadGraph."""
    size = items = 0
    stack: list[tuple[Any, int, tuple[int, ...]]] = [(file, 0, ())]
    while stack:
        group, depth, above = stack.pop()
        if depth > DEEPEST:
            raise BadGraph(f"{path} nests groups deeper than {DEEPEST}", "graphs in graphs to a depth of 50")
        address = h5py.h5o.get_info(group.id).addr
        if address in above:
            raise BadGraph(f"{path} has a group that holds itself", "a tree of groups")
        for name in group:
            items += 1
            if items > MOST_ITEMS:
                raise BadGraph(f"{path} holds more than {MOST_ITEMS} items", "a smaller graph")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise BadGraph(f"{path} links {name!r} to another place or file", "a file that holds all of itself")
            item = group[name]
            if isinstance(item, h5py.Group):
                stack.append((item, depth + 1, (*above, address)))
                continue
            if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
                raise BadGraph(f"{path} keeps {name!r} elsewhere", "a file that holds all of itself")
            size += int(np.prod(item.shape or (1,), dtype=object)) * item.dtype.itemsize
            if size > MOST_BYTES:
                raise BadGraph(f"{path} declares arrays of {size:,} bytes", f"at most {MOST_BYTES:,}")
