"""A data set through a spiking target: what is counted of each item, in memory that does not grow with their steps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.decode import check_labels, classes_of, decoded, output_node, way_of
from neuroprompt.simulators.items import Items
from neuroprompt.spiking.program import Program, SpikingModel

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Tally:
    """What a target did with each of B items: counts alone, (B,) each.

    predicted  the class, by `decode`, of `classes`
    spikes     of all neurons
    synops     synaptic operations: for every event that arrives, one for each weight that it meets and that is not 0
    seconds    of all runs, decoding included
    """

    predicted: Counts
    spikes: Counts
    synops: Counts
    classes: int
    decode: str
    seconds: float


def tally(
    target: SpikingTarget,
    model: SpikingModel,
    items: Items,
    precision: str,
    decode: str | None = None,
    *,
    progress: Progress = SILENT,
) -> Tally:
    """Run all items and count; raises BadData where a label is no class of the model, and what the target raises."""
    program, node = model.program(precision), output_node(model.graph)
    neurons = max((p.size for p in program.populations), default=0)
    rows: list[tuple[Counts, Counts, Counts]] = []
    classes, way, seconds = 0, decode or "", 0.0
    starts = items.starts(neurons)
    for first in progress.track(starts, "running items", len(starts)):
        inputs = items.part(first, first + starts.step)
        start = time.perf_counter()
        recording = target.run(model, inputs, precision, states=decode == "potential")
        if not classes:
            classes, way = classes_of(recording, node), way_of(recording, node, decode)
            if items.labels is not None:
                check_labels(items.labels, classes)
        spikes = sum((fired.sum(axis=(1, 2)) for fired in recording.spikes.values()), np.zeros(len(inputs), np.int64))
        rows.append((decoded(recording, node, way), spikes, synops(program, recording, inputs)))
        seconds += time.perf_counter() - start
    predicted, fired, operations = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Tally(predicted, fired, operations, classes, way, seconds)


def synops(program: Program, recording: Recording, inputs: NDArray[Any]) -> Counts:
    """Synaptic operations of each run of a batch, as `neuroprompt.energy.count_spikes.count` counts those of one."""
    sent = program.encode(inputs) if recording.sent is None else recording.sent
    emitted: dict[str, Any] = {"input": sent, **recording.spikes, **recording.values}
    total = np.zeros(len(inputs), np.int64)
    for q in program.projections:
        arriving = emitted[q.source][:, : max(0, program.steps - q.lag)]
        events = (arriving if arriving.dtype == bool else arriving != 0).view(np.uint8)
        kind = np.uint8 if events.shape[1] < 256 else np.uint32  # bytes are added several times faster
        total += np.add.reduce(events, axis=1, dtype=kind).astype(np.int64) @ q.weights.fan_out
    return total
