"""What a run counts: spikes, synaptic operations, neuron updates, multiply-accumulates. Prices are elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Activity:
    """Exact counts of one run; NeuroBench's definitions. `+` adds two parts of one system.

    spikes         spikes that neurons emitted
    synops         synaptic operations: for every event that arrives, one per non-zero weight that it meets
    updates        neuron updates: neurons times steps
    updates_active the part of `updates` in which the neuron spiked
    macs           multiply-accumulates of a dense network, attention products included
    synops_graded  the part of `synops` that multiplies: its event carries a number (NeuroBench's Effective_MACs)
    synops_dense   synaptic operations if every line had fired in every step and every weight counted (Dense)
    reads          numbers read from memory: weights and biases that are met, operands of dense products
    writes         numbers written to memory: results of dense products
    states         numbers of neurons' states read or written: both, for every update
    macs_int8      the part of `macs` whose two factors are 8-bit integers

    Of `synops`, acs = synops - synops_graded are additions alone (Effective_ACs).
    """

    spikes: int = 0
    synops: int = 0
    updates: int = 0
    updates_active: int = 0
    macs: int = 0
    synops_graded: int = 0
    synops_dense: int = 0
    reads: int = 0
    writes: int = 0
    states: int = 0
    macs_int8: int = 0

    def __add__(self, other: Activity) -> Activity:
        return Activity(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def over(self, images: int) -> Activity:
        """The mean of `images` runs, rounded to whole numbers."""
        return Activity(*(round(count / images) for count in self.json().values()))

    @property
    def acs(self) -> int:
        """Synaptic operations that add a weight and multiply nothing."""
        return self.synops - self.synops_graded

    @property
    def rate(self) -> float:
        """Share of the dense synaptic operations that took place; 0 where there are none."""
        return self.synops / self.synops_dense if self.synops_dense else 0.0

    def counted(self) -> Iterator[tuple[str, int]]:
        """The terms that are not zero."""
        return ((name, count) for name, count in self.json().items() if count)

    def json(self) -> dict[str, int]:
        """All terms by name."""
        return asdict(self)
