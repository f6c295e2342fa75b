"""A data set through a spiking target: what is counted of each item, in memory that does not grow with their steps."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.decode import check_labels
from neuroprompt.simulators.items import Items
from neuroprompt.simulators.per_item import Counts, PerItem
from neuroprompt.spiking.program import SpikingModel


@dataclass(frozen=True)
class Tally:
    """What a target did with each of B items: counts alone.

    predicted  the class (B,), by `decode`, of `classes`
    counts     spikes and operations
    seconds    of all runs, decoding included
    """

    predicted: Counts
    counts: PerItem
    classes: int
    decode: str
    seconds: float

    @property
    def spikes(self) -> Counts:
        """Of all neurons, (B,)."""
        return self.counts.spikes

    @property
    def synops(self) -> Counts:
        """Synaptic operations, (B,)."""
        return self.counts.synops


def tally(
    target: SpikingTarget,
    model: SpikingModel,
    items: Items,
    precision: str,
    decode: str | None = None,
    *,
    only: range | None = None,
    progress: Progress = SILENT,
) -> Tally:
    """Run all items, or `only` those, and count.

    Raises BadData where a label is no class of the model, and what the target raises.
    """
    program, reader = target.program(model, precision), items.reader(model, decode)
    neurons = max((p.size for p in program.populations), default=0)
    predicted: list[Counts] = []
    counts: list[PerItem] = []
    classes, way, seconds = 0, decode or "", 0.0
    only = range(len(items)) if only is None else only
    starts = range(only.start, only.stop, items.starts(neurons).step)
    for first in progress.track(starts, "running items", len(starts)):
        inputs = items.part(first, min(first + starts.step, only.stop))
        start = time.perf_counter()
        recording = target.run(model, inputs, precision, states=reader.states)
        if not classes:
            classes, way = reader.count(recording), reader.way(recording)
            if items.labels is not None:
                check_labels(items.labels, classes)
        predicted.append(reader.classes(recording, inputs, first))
        counts.append(PerItem.of(program, recording, inputs))
        seconds += time.perf_counter() - start
    return Tally(np.concatenate(predicted), PerItem.joined(counts), classes, way, seconds)
