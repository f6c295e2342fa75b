"""Numbers on the input lines: how many bits they get and how many their weights is measured, so that no net dies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from neuroprompt.compiler.fit import Task
from neuroprompt.compiler.measure import likeness, rounding_noise
from neuroprompt.compiler.shares import Share, shares
from neuroprompt.errors import Unsupported
from neuroprompt.loihi.arithmetic import Array

QUIET, ALIKE = 2e-3, 0.99
"""A choice of bits is good enough, and no other is tried, where rounding changes what arrives by so small a share (root
mean square) and the Jaccard index of the spikes is that high."""
LUCK = 5.0
"""What noise costs of the Jaccard index on other inputs, about (dense layers of 4 to 784 lines)."""
NEARBY = tuple(2 ** (-i / 24) for i in range(1, 13))
"""Scales below the best one, over half an octave, that are tried where its spikes are not alike enough."""
LEAST_JACCARD = 0.97
"""Below it a node that numbers reach is rejected: its spikes on the chip would not be those of the model."""


def best_share(tasks: Sequence[Task], inputs: Array, largest: float) -> Share:
    """The share of the bits with which the populations that numbers reach fire most like their float twins.

    `largest`: numbers of at most that magnitude never overflow; where it is 0, those MARGIN times as large as the
    calibration inputs do not. Where bits are short v may clip, below, where a neuron is far from firing. Of the good
    choices the one that clips nothing wins, then the one with one list of synapses. Raises Unsupported, naming the
    nodes, where nothing is left for the numbers.
    """
    best: _Tried | None = None
    for share in shares(tasks, inputs, largest):
        tried = _try(tasks, share)
        if tried.noise <= QUIET and tried.alike >= ALIKE:
            return share
        best = tried if best is None or tried.worth > best.worth else best
    if best is None:
        nodes = ", ".join(repr(task.population.name) for task in tasks)
        got = f"no bits are left for the numbers that reach node {nodes}"
        raise Unsupported(got, "inputs of at least 2 levels beside these weights", "spikes as inputs, or smaller sums")
    for factor in NEARBY if best.alike < ALIKE else ():
        tried = _try(tasks, best.share.smaller(factor, tasks))
        if tried.alike >= ALIKE:
            return tried.share
        best = tried if tried.worth > best.worth else best
    return best.share


@dataclass(frozen=True)
class _Tried:
    """A share, what its rounding changes, and how alike the spikes are, each of the worst population."""

    share: Share
    noise: float
    alike: float

    @property
    def worth(self) -> float:
        """Few spikes may agree by luck, which other inputs do not have."""
        return self.alike - LUCK * self.noise


def _try(tasks: Sequence[Task], share: Share) -> _Tried:
    fits = [share.fit(task) for task in tasks]
    noise = max(rounding_noise(share.task(t), f.lists, f.scale) for t, f in zip(tasks, fits, strict=True))
    return _Tried(share, noise, min(likeness(task, fitted) for task, fitted in zip(tasks, fits, strict=True)))
