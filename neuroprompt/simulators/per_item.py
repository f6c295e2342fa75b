"""What each item of a data set counts on a target: spikes, synaptic operations, and what the price lists ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Recording
from neuroprompt.spiking.activity import Activity
from neuroprompt.spiking.program import Program

Counts = NDArray[np.int64]


COUNTS = ("spikes", "synops", "graded", "several")
"""The fields of PerItem that are arrays."""


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation and range of a count, or of joules, over items."""

    mean: float
    sd: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[Any]) -> Spread:
        """Those of values (B,), of which there is at least one."""
        return cls(float(values.mean()), float(values.std()), values.min().item(), values.max().item())

    def json(self) -> dict[str, float]:
        """By name; the ends of the range are "min" and "max"."""
        return {"mean": self.mean, "sd": self.sd, "min": self.low, "max": self.high}

    def __str__(self) -> str:
        return f"{self.mean:,.1f} ± {self.sd:,.1f} ({self.low:,} to {self.high:,})"


@dataclass(frozen=True)
class PerItem:
    """Counts of each of B items, (B,): those of `neuroprompt.energy.count_spikes.count`, over all neurons.

    spikes   of all neurons
    synops   synaptic operations: for every event that arrives, one for each weight that it meets and that is not 0
    graded   the part of them that multiplies: its event carries a number
    same     what is the same for every item: updates, states, and as `reads` those of biases alone
    several  entries in which a chip's neuron fired more than once, which are one spike in `spikes` and `synops`
    """

    spikes: Counts
    synops: Counts
    graded: Counts
    same: Activity
    several: Counts

    @classmethod
    def of(cls, program: Program, recording: Recording, inputs: NDArray[Any]) -> PerItem:
        """Those of a batch (B, T, n_in) that ran."""
        none = np.zeros(len(inputs), np.int64)
        spikes = sum((fired.sum(axis=(1, 2)) for fired in recording.spikes.values()), none)
        sent = program.encode(inputs) if recording.sent is None else recording.sent
        emitted: dict[str, Any] = {"input": sent, **recording.spikes, **recording.values}
        synops, graded = none.copy(), none.copy()
        for q in program.projections:
            arriving = emitted[q.source][:, : max(0, program.steps - q.lag)]
            fan = q.weights.fan_out
            synops += _events(arriving) @ fan
            if arriving.dtype != bool:
                numbers = (arriving.max(axis=2, initial=0) > 1) | (arriving.min(axis=2, initial=0) < -1)
                graded += _events(np.where(numbers[:, :, None], arriving, 0)) @ fan
        several = sum(recording.several.values(), none)
        return cls(spikes, synops, graded, _same(program), several)

    @classmethod
    def joined(cls, parts: Sequence[PerItem]) -> PerItem:
        """Those of batches one after the other."""
        arrays = {name: np.concatenate([getattr(p, name) for p in parts]) for name in COUNTS}
        return cls(**arrays, same=parts[0].same)

    def activities(self) -> list[Activity]:
        """What each item did."""
        same = self.same
        columns = zip(self.spikes.tolist(), self.synops.tolist(), self.graded.tolist(), strict=True)
        return [
            Activity(
                spikes=spikes,
                synops=synops,
                updates=same.updates,
                updates_active=spikes,
                synops_graded=graded,
                reads=synops + same.reads,
                states=same.states,
            )
            for spikes, synops, graded in columns
        ]


def _same(program: Program) -> Activity:
    """What an item costs whatever it holds: as `neuroprompt.energy.count_spikes` counts it."""
    memoryless = 1 if program.precision == "float" else 4095
    updates = reads = states = 0
    for p in program.populations:
        neurons = p.size * program.steps
        updates += neurons
        reads += int(np.count_nonzero(p.bias)) * program.steps
        states += 2 * neurons * (2 if np.any(np.asarray(p.du) != memoryless) else 1)
    return Activity(updates=updates, reads=reads, states=states)


def _events(emitted: NDArray[Any]) -> Counts:
    """How often each line carried something, (B, n), of (B, T, n)."""
    events = (emitted if emitted.dtype == bool else emitted != 0).view(np.uint8)
    kind = np.uint8 if events.shape[1] < 256 else np.uint32  # bytes are added several times faster
    return np.asarray(np.add.reduce(events, axis=1, dtype=kind), np.int64)
