"""Counts what one run of a spiking program did, node by node: spikes, synaptic operations, updates, memory traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Floats, Recording
from neuroprompt.spiking.activity import Activity
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel

WIDTHS = {"float": (4, 4), "loihi1": (1, 3), "loihi2": (1, 3), "xylo": (1, 2)}
"""Bytes of a weight, and of any other number: float32; on a chip 8-bit weights, states of 24 bits, or 16 on Xylo."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Node:
    """What one population did, with the projections that end at it.

    neurons, steps     its size and how long it ran
    events             its outputs that are not 0
    weights, zeros     stored connections, and those of them that are 0
    footprint          bytes of weights, biases and states
    membrane_updates   updates that changed v, the first step counting whole (NeuroBench); None: v was not recorded
    """

    name: str
    activity: Activity
    neurons: int
    steps: int
    events: int
    weights: int
    zeros: int
    footprint: int
    membrane_updates: int | None = None

    @property
    def activation_sparsity(self) -> float | None:
        """The share of (step, neuron) outputs that are 0; None where there are none."""
        return _activation_sparsity((self,))

    @property
    def connection_sparsity(self) -> float | None:
        """The share of stored connections that are 0; None where there are none."""
        return _connection_sparsity((self,))

    def json(self) -> dict[str, object]:
        """All of it, sparsities included."""
        return vars(self) | {"activity": self.activity.json()} | _sparsities((self,))


@dataclass(frozen=True)
class ProgramCounts:
    """What a run did, node by node; the sum is `total`. Sparsities are NeuroBench's, over all nodes."""

    nodes: tuple[Node, ...]

    @property
    def total(self) -> Activity:
        """The counts of all nodes together."""
        return reduce(add, (node.activity for node in self.nodes), Activity())

    @property
    def activation_sparsity(self) -> float | None:
        """The share of all (step, neuron) outputs that are 0; None where there are none."""
        return _activation_sparsity(self.nodes)

    @property
    def connection_sparsity(self) -> float | None:
        """The share of all stored connections that are 0; None where there are none."""
        return _connection_sparsity(self.nodes)

    def json(self) -> dict[str, object]:
        """Total, sparsities and footprint, and every node."""
        nodes = [node.json() for node in self.nodes]
        footprint = sum(node.footprint for node in self.nodes)
        return {"total": self.total.json(), "footprint": footprint, **_sparsities(self.nodes), "nodes": nodes}


def count(program: Program, recording: Recording, inputs: Floats) -> ProgramCounts:
    """The counts of one run of `program` on `inputs` (T, n_in), by NeuroBench 2.3.0's definitions.

    synops = sum over projections, steps and lines of [event != 0] times the line's weights that are not 0. Where a
    projection carries anything but -1, 0 and 1 in a step, its operations of that step multiply: `synops_graded`. What
    is emitted so late that its lag leads out of the run meets no weight. A matrix that is stored dense counts each of
    its cells as a connection.

    reads = synops + biases that are not 0, in every step; states = 2 updates times the states of a neuron, which are
    one (v), or two where u has a memory.
    """
    sent = program.encode(inputs) if recording.sent is None else recording.sent
    emitted: dict[str, Array] = {"input": sent, **recording.spikes, **recording.values}
    return ProgramCounts(tuple(_node(program, population, recording, emitted) for population in program.populations))


def activity(model: SpikingModel, recording: Recording, inputs: Floats, precision: str) -> Activity:
    """The counts of one run in all, with the weights of that precision."""
    return count(model.program(precision), recording, inputs).total


def by_image(program: Program, recording: Recording, inputs: Floats, images: int) -> list[ProgramCounts]:
    """The counts of each of `images` runs that went side by side as lanes; `program` is that of one lane.

    inputs (T, images n_in) and the recording hold the lanes one after the other.
    """
    lanes = (lane_of(recording, images, i) for i in range(images))
    return [count(program, lane, x) for lane, x in zip(lanes, np.split(inputs, images, axis=1), strict=True)]


def lane_of(recording: Recording, images: int, i: int) -> Recording:
    """Run `i` of `images` runs that went side by side as lanes."""
    return Recording(
        spikes=_lane(recording.spikes, images, i),
        seconds=recording.seconds / images,
        values=_lane(recording.values, images, i),
        v=_lane(recording.v, images, i),
        sent=None if recording.sent is None else np.split(recording.sent, images, axis=1)[i],
    )


def _node(program: Program, population: Population, recording: Recording, emitted: dict[str, Array]) -> Node:
    name, size = population.name, population.size
    kind = "float" if program.precision == "float" else program.chip
    into = program.into(name)
    synops = graded = dense = 0
    for projection in into:
        done, multiplied = _operations(projection, emitted[projection.source], program.steps)
        synops, graded = synops + done, graded + multiplied
        dense += projection.weights.values.size * (program.steps - projection.lag)
    events = int(np.count_nonzero(emitted[name]))
    spikes = events if name in recording.spikes else 0
    updates = size * program.steps
    biases = int(np.count_nonzero(population.bias))
    memoryless = {"float": 1, "xylo": -1}.get(kind, 4095)  # every current of Xylo has a memory
    states = 2 if np.any(np.asarray(population.du) != memoryless) else 1
    stored = sum(projection.weights.values.size for projection in into)
    wide, other = WIDTHS[kind]
    return Node(
        name,
        Activity(
            spikes=spikes,
            synops=synops,
            updates=updates,
            updates_active=spikes,
            synops_graded=graded,
            synops_dense=dense,
            reads=synops + biases * program.steps,
            states=2 * updates * states,
        ),
        neurons=size,
        steps=program.steps,
        events=events,
        weights=stored,
        zeros=stored - sum(int(projection.weights.fan_out.sum()) for projection in into),
        footprint=wide * stored + other * (biases + size * states),
        membrane_updates=_membrane_updates(recording.v[name]) if name in recording.v else None,
    )


def _operations(projection: Projection, emitted: Array, steps: int) -> tuple[int, int]:
    """(synaptic operations, the part of them that multiplies) of what arrives within the run."""
    arriving = emitted[: steps - projection.lag]
    fan = projection.weights.fan_out
    done = _events(arriving) @ fan
    if arriving.dtype == bool:
        return int(done), 0
    # For most steps the largest and the smallest number decide.
    numbers = (arriving.max(axis=1, initial=0) > 1) | (arriving.min(axis=1, initial=0) < -1)
    if not numbers.all() and arriving.dtype.kind == "f":
        numbers |= ((arriving != 0) & (np.abs(arriving) != 1)).any(axis=1)
    return int(done), int(done if numbers.all() else _events(arriving[numbers]) @ fan)


def _events(emitted: Array) -> NDArray[np.int64]:
    """How often each line carried something, (n,), of (T, n): added in bytes, which hold 255 steps."""
    events = (emitted if emitted.dtype == bool else emitted != 0).view(np.uint8)
    parts = (np.add.reduce(events[t : t + 255], axis=0, dtype=np.uint8) for t in range(0, len(events), 255))
    return sum((part.astype(np.int64) for part in parts), np.zeros(events.shape[1], np.int64))


def _membrane_updates(v: Array) -> int:
    """v (T, n) after the reset."""
    return int(v[0].size + np.count_nonzero(np.diff(v, axis=0)))


def _lane(values: Any, images: int, i: int) -> dict[str, Array]:
    return {name: np.split(array, images, axis=1)[i] for name, array in values.items()}


def _activation_sparsity(nodes: Sequence[Node]) -> float | None:
    outputs = sum(n.neurons * n.steps for n in nodes)
    return 1 - sum(n.events for n in nodes) / outputs if outputs else None


def _connection_sparsity(nodes: Sequence[Node]) -> float | None:
    weights = sum(n.weights for n in nodes)
    return sum(n.zeros for n in nodes) / weights if weights else None


def _sparsities(nodes: Sequence[Node]) -> dict[str, float | None]:
    """NeuroBench's sparsities, by the names that JSON has."""
    return {
        "activation_sparsity": _activation_sparsity(nodes),
        "connection_sparsity": _connection_sparsity(nodes),
    }
