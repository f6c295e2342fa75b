"""What a run counts: spikes, synaptic operations, neuron updates, multiply-accumulates. Prices are elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Activity:
    """Exact counts of one run; NeuroBench's definitions. `+` adds two parts of one system.

    spikes         spikes that neurons emitted
    synops         synaptic operations: for every spike that arrives, one per non-zero outgoing weight
    updates        neuron updates: neurons times steps
    updates_active the part of `updates` in which the neuron spiked
    macs           multiply-accumulates of a dense network, attention products included
    """

    spikes: int = 0
    synops: int = 0
    updates: int = 0
    updates_active: int = 0
    macs: int = 0

    def __add__(self, other: Activity) -> Activity:
        return Activity(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def counted(self) -> Iterator[tuple[str, int]]:
        """The terms that are not zero."""
        return ((name, count) for name, count in self.json().items() if count)

    def json(self) -> dict[str, int]:
        """All terms by name."""
        return asdict(self)
