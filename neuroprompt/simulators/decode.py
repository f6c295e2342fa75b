"""From what output neurons do to a class: by rate, by the first spike, or by potential."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.check import NEURONS
from neuroprompt.compiler.flatten import flatten
from neuroprompt.contracts.deployment import Recording
from neuroprompt.errors import BadData, BadSetting, Unsupported

WAYS = ("rate", "first-spike", "potential")
PASSING = (nir.Input, nir.Output, nir.Flatten)


class Reader(ABC):
    """From what a target did with items to their classes.

    states  whether it needs the potentials of neurons that fire
    """

    states: bool = False

    @abstractmethod
    def way(self, recording: Recording) -> str:
        """How, in a word; raises what `way_of` raises."""

    @abstractmethod
    def count(self, recording: Recording) -> int:
        """How many classes there are."""

    @abstractmethod
    def classes(self, recording: Recording, inputs: NDArray[Any], first: int) -> NDArray[np.int64]:
        """The class (B,) of each item of a batch, of the items from `first` on."""


@dataclass(frozen=True)
class OutputNeurons(Reader):
    """Classes are the neurons of `node`, read by `decode`, or in the way that fits."""

    node: str
    decode: str | None = None

    @property
    def states(self) -> bool:  # type: ignore[override]
        """Where potentials decide."""
        return self.decode == "potential"

    def way(self, recording: Recording) -> str:
        """As `way_of`."""
        return way_of(recording, self.node, self.decode)

    def count(self, recording: Recording) -> int:
        """As `classes_of`."""
        return classes_of(recording, self.node)

    def classes(self, recording: Recording, inputs: NDArray[Any], first: int) -> NDArray[np.int64]:
        """As `decoded`."""
        return decoded(recording, self.node, self.way(recording))


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
    """The way to decode that fits `node`; by rate where it fires, else by potential. Raises BadSetting, Unsupported."""
    if decode is None:
        return "rate" if node in recording.spikes else "potential"
    if decode not in WAYS:
        raise BadSetting(f"decode {decode!r}", f"one of: {', '.join(WAYS)}")
    if decode != "potential" and node not in recording.spikes:
        raise BadSetting(f"decode {decode!r} of node {node!r}, which never fires", "--decode potential")
    if decode == "potential" and node not in recording.values and node not in recording.v:
        raise Unsupported(f"decode 'potential' of node {node!r}", "a target that keeps potentials", "--decode rate")
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
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise BadData(f"the label {wrong[0]}", f"classes from 0 to {classes - 1}: the model has {classes}")
