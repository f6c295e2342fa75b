"""Recording: what a target did, alone or as a batch of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Spikes = NDArray[np.bool_]


@dataclass(frozen=True)
class Recording:
    """What a target did: spikes (T, n) of every neuron node, potentials where asked for, and the seconds it took.

    Of a batch of B runs every array has the runs as its first axis: (B, T, n).

    `values` (T, n) are what nodes give that never fire (LI, CubaLI, I, linear outputs): their potentials. Steps are the
    reference's steps: a delay that the target adds is already taken out and stands in `delay`. `sent` is what
    Program.encode made of the inputs, where the target kept it. `cost` is what a simulator with a model of its chip
    says of the run: "joules.PART", of which "joules.total" is the sum, and "seconds" on that chip; a number, or (B,).
    """

    spikes: Mapping[str, Spikes]
    seconds: float
    v: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    u: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    delay: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    sent: NDArray[Any] | None = None
    cost: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def item(self, i: int) -> Recording:
        """Run `i` of a batch by itself, with its share of the seconds."""
        parts = {key: {name: array[i] for name, array in getattr(self, key).items()} for key in _ARRAYS}
        runs = len(next(iter((self.spikes or self.values).values())))
        sent = None if self.sent is None else self.sent[i]
        return Recording(**parts, seconds=self.seconds / runs, delay=self.delay, sent=sent)

    @classmethod
    def joined(cls, batches: Sequence[Recording]) -> Recording:
        """Batches of the same model one after the other, as one."""
        first = batches[0]
        if len(batches) == 1:
            return first
        parts = {
            key: {name: np.concatenate([getattr(b, key)[name] for b in batches]) for name in getattr(first, key)}
            for key in _ARRAYS
        }
        sent = None if first.sent is None else np.concatenate([b.sent for b in batches if b.sent is not None])
        return cls(**parts, seconds=sum(b.seconds for b in batches), delay=first.delay, sent=sent)

    @classmethod
    def stacked(cls, runs: Sequence[Recording]) -> Recording:
        """Single runs of the same model as a batch."""
        return cls.joined([run.as_batch() for run in runs])

    def end_to_end(self) -> Recording:
        """All runs of a batch one after the other, as a single run of B T steps."""

        def rows(array: NDArray[Any]) -> NDArray[Any]:
            return array.reshape(-1, array.shape[-1])

        parts = {key: {name: rows(array) for name, array in getattr(self, key).items()} for key in _ARRAYS[:-1]}
        sent = None if self.sent is None else rows(self.sent)
        return Recording(**parts, seconds=self.seconds, delay=self.delay, sent=sent)

    def as_batch(self) -> Recording:
        """A single run as a batch of one."""
        parts = {key: {name: array[None] for name, array in getattr(self, key).items()} for key in _ARRAYS}
        sent = None if self.sent is None else self.sent[None]
        return Recording(**parts, seconds=self.seconds, delay=self.delay, sent=sent)


_ARRAYS = ("spikes", "v", "u", "values", "cost")
