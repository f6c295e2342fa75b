"""From what output neurons do to a class: by rate, by the first spike, or by potential."""

from __future__ import annotations

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.check import NEURONS
from neuroprompt.compiler.flatten import flatten
from neuroprompt.contracts.deployment import Recording
from neuroprompt.errors import BadData, BadSetting, Unsupported

WAYS = ("rate", "first-spike", "potential")
PASSING = (nir.Input, nir.Output, nir.Flatten)


def output_node(graph: nir.NIRGraph) -> str:
    """The node whose neurons are the classes: what the graph's one Output takes. Raises Unsupported, BadGraph."""
    flat = flatten(graph)
    if len(flat.outputs) != 1:
        raise Unsupported(f"a graph with {len(flat.outputs)} outputs", "one Output, whose values are the classes")
    nodes, (end,) = {n.name: n for n in flat.nodes}, flat.outputs
    node = end
    while len(node.sources) == 1 and not node.sources[0][1] and isinstance(node.node, PASSING):
        node = nodes[node.sources[0][0]]
    return node.name if isinstance(node.node, NEURONS) else end.name


def way_of(recording: Recording, node: str, decode: str | None) -> str:
    """The way to decode that fits `node`; by rate where it fires, else by potential. Raises BadSetting."""
    if decode is None:
        return "rate" if node in recording.spikes else "potential"
    if decode not in WAYS:
        raise BadSetting(f"decode {decode!r}", f"one of: {', '.join(WAYS)}")
    if decode != "potential" and node not in recording.spikes:
        raise BadSetting(f"decode {decode!r} of node {node!r}, which never fires", "--decode potential")
    if decode == "potential" and node not in recording.values and node not in recording.v:
        raise BadSetting(f"decode 'potential' of node {node!r}", "a target that keeps potentials", "--decode rate")
    return decode


def decoded(recording: Recording, node: str, way: str) -> NDArray[np.int64]:
    """The class of each run (B,) of a batch: the neuron of `node`, from 0, that

    rate         fires most often; the first of several
    first-spike  fires first; of several the one that fires most often, then the first
    potential    has the highest potential after the last step
    """
    if way == "potential":
        potentials = recording.values if node in recording.values else recording.v
        return np.asarray(potentials[node][:, -1].argmax(axis=-1))
    spikes = recording.spikes[node]
    counts = spikes.sum(axis=1)
    if way == "rate":
        return np.asarray(counts.argmax(axis=-1))
    steps = spikes.shape[1]
    first = np.where(counts > 0, spikes.argmax(axis=1), steps)
    return np.asarray((counts - first * (steps + 1)).argmax(axis=-1))


def classes_of(recording: Recording, node: str) -> int:
    """How many classes `node` tells apart: its neurons."""
    arrays = recording.spikes if node in recording.spikes else recording.values
    return int(arrays[node].shape[-1])


def check_labels(labels: NDArray[np.int64], classes: int) -> None:
    """Raise BadData where a label is none of `classes`."""
    if labels.max() >= classes:
        raise BadData(f"the label {labels.max()}", f"classes from 0 to {classes - 1}: the model has {classes}")
