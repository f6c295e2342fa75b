"""Recordings compared spike by spike, over all neurons and node by node, and the cause of a difference where known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Recording, Spikes
from neuroprompt.errors import BadSetting

LATEST = 8
"""The longest delay, in steps, that is looked for."""
ROUNDED = "weights, decays and thresholds are rounded to the chip's"
ROUNDING = 1e-6
"""How near to its threshold, as a share of it, a potential may be decided by the last bits of a float sum."""


@dataclass(frozen=True)
class Mismatch:
    """The first spike that differs: node, step, neuron, and both potentials after the reset where they were kept.

    `item` is the run of a data set, counted from 0; None where there is one run.
    """

    node: str
    step: int
    neuron: int
    reference_v: float | None
    v: float | None
    item: int | None = None

    def json(self) -> dict[str, Any]:
        """For scripts; the item only where there are several."""
        values = asdict(self)
        if self.item is None:
            del values["item"]
        return values


@dataclass(frozen=True)
class Matches:
    """What two rasters (T, n) have in common, in whole numbers that add up over runs.

    equal             of T n (step, neuron) entries, those that match
    both              spikes in both
    reference, other  spikes of each neuron (n,)
    """

    steps: int
    equal: int
    both: int
    reference: NDArray[np.int64]
    other: NDArray[np.int64]

    @classmethod
    def of(cls, a: Spikes, b: Spikes) -> Matches:
        """Of the reference's spikes and the other's."""
        return cls(len(a), int((a == b).sum()), int((a & b).sum()), a.sum(axis=0), b.sum(axis=0))

    @classmethod
    def joined(cls, parts: Sequence[Matches]) -> Matches:
        """Of runs one after the other."""
        return cls(*(sum(getattr(part, f.name) for part in parts) for f in fields(cls)))

    def measures(self) -> dict[str, Any]:
        """The fields of `NodeAgreement` that are measured."""
        entries, spikes, right = self.steps * self.reference.size, int(self.other.sum()), int(self.reference.sum())
        either = spikes + right - self.both
        return {
            "spike_exact": self.equal / entries if entries else 1.0,
            "jaccard": self.both / either if either else 1.0,
            "rate_cosine": _cosine(self.reference / max(self.steps, 1), self.other / max(self.steps, 1)),
            "spikes": spikes,
            "spikes_reference": right,
            "matches": self,
        }


UNCOUNTED = Matches(0, 0, 0, np.zeros(0, np.int64), np.zeros(0, np.int64))
"""Of an agreement that was read back from a file, which keeps only what was measured."""


@dataclass(frozen=True)
class NodeAgreement:
    """How the spikes of one node, or of all neurons, agree.

    spike_exact     share of matching (step, neuron) entries; 1.0 only where all match
    jaccard         spikes in both, of spikes in either; 1.0 where neither has any
    rate_cosine     cosine of the neurons' mean rates (Pedersen et al., Nat. Commun. 15:8122, 2024)
    first_mismatch  the earliest entry that differs, or None
    matches         what these were counted from
    """

    spike_exact: float
    jaccard: float
    rate_cosine: float
    spikes: int
    spikes_reference: int
    first_mismatch: Mismatch | None
    matches: Matches = field(default=UNCOUNTED, repr=False, compare=False, kw_only=True)

    def json(self) -> dict[str, Any]:
        """For scripts; the fields by name, without the matches."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "matches"}


@dataclass(frozen=True)
class ValueAgreement:
    """Values of a node that never fires: the largest difference, and that over the reference's largest value."""

    max_abs_diff: float
    max_rel_diff: float
    largest: float = field(default=0.0, repr=False, compare=False)

    @classmethod
    def of(cls, difference: float, largest: float) -> ValueAgreement:
        """Of the largest difference and the reference's largest value."""
        return cls(difference, difference / largest if largest else difference, largest)

    def json(self) -> dict[str, float]:
        """For scripts."""
        return {"max_abs_diff": self.max_abs_diff, "max_rel_diff": self.max_rel_diff}


@dataclass(frozen=True)
class Agreement(NodeAgreement):
    """How a recording agrees with the reference over all neurons, and by node in `nodes` and `values`.

    `seconds` are None in what is kept in files, which are the same each time.
    """

    seconds: float | None = None
    nodes: Mapping[str, NodeAgreement] = field(default_factory=dict)
    values: Mapping[str, ValueAgreement] = field(default_factory=dict)


def compare(reference: Recording, other: Recording) -> Agreement:
    """How `other` agrees with `reference`, spike by spike; raises BadSetting for other nodes, steps or sizes."""
    if set(reference.spikes) != set(other.spikes):
        raise BadSetting(f"recordings of {sorted(other.spikes)}", f"the same nodes: {sorted(reference.spikes)}")
    order = list(reference.spikes)
    a, b = all_spikes(reference, order), all_spikes(other, order)
    if a.shape != b.shape:
        raise BadSetting(f"recordings of shape {b.shape}", f"{a.shape}: steps, neurons")
    mismatches = {name: _mismatch(reference, other, name) for name in reference.spikes}
    return Agreement(
        **Matches.of(a, b).measures(),
        first_mismatch=_earliest(mismatches),
        seconds=other.seconds,
        nodes={
            name: NodeAgreement(
                **Matches.of(spikes.astype(bool), other.spikes[name].astype(bool)).measures(),
                first_mismatch=mismatches[name],
            )
            for name, spikes in reference.spikes.items()
        },
        values={name: _closeness(values, other.values[name]) for name, values in reference.values.items()},
    )


def by_item(agreement: Agreement, steps: int) -> Agreement:
    """The agreement of runs of `steps` steps that were compared end to end: its mismatches name the run."""

    def placed(node: NodeAgreement) -> Mismatch | None:
        first = node.first_mismatch
        return None if first is None else replace(first, item=first.step // steps, step=first.step % steps)

    nodes = {name: replace(node, first_mismatch=placed(node)) for name, node in agreement.nodes.items()}
    return replace(agreement, first_mismatch=placed(agreement), nodes=nodes)


def all_spikes(recording: Recording, order: Sequence[str] | None = None) -> Spikes:
    """The spikes of all nodes side by side, (T, n), in the recording's order or in that of the names in `order`."""
    nodes = [recording.spikes[name].astype(bool) for name in (recording.spikes if order is None else order)]
    if not nodes:  # a graph of nodes that never fire
        return np.zeros((len(next(iter(recording.values.values()), ())), 0), bool)
    return np.concatenate(nodes, axis=1)


def known_cause(
    reference: Recording, other: Recording, precision: str, thresholds: Mapping[str, Any], rounding: str = ROUNDED
) -> str | None:
    """Why `other` differs from `reference`, in words: a delay, the integers, or a tie; None where equal or unknown.

    delay      every node's spikes are the reference's, in step or some steps later
    integers   precision is "fixed": `rounding`, in words
    tie        at the first mismatch the potential of whichever did not fire is at its threshold, within 1e-6 of it
    """
    first = _earliest({name: _mismatch(reference, other, name) for name in reference.spikes})
    if first is None:
        return None
    lags = {name: _lag(spikes, other.spikes[name]) for name, spikes in reference.spikes.items()}
    if None not in lags.values():
        return "late: " + ", ".join(f"{name} by {lag} step{'s' * (lag != 1)}" for name, lag in lags.items() if lag)
    if precision == "fixed":
        return f"integers: {rounding}"
    fired = reference.spikes[first.node][first.step, first.neuron]
    below, threshold = first.v if fired else first.reference_v, thresholds.get(first.node)
    if isinstance(threshold, np.ndarray):
        threshold = float(threshold.reshape(-1)[first.neuron if threshold.size > 1 else 0])
    if below is not None and threshold is not None and abs(below - threshold) <= ROUNDING * max(threshold, ROUNDING):
        return f"a tie: the potential is at the threshold {threshold:g}, and the order of a sum decides"
    return None


def plain(value: Any) -> Any:
    """A result's field as JSON has it."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value.json() if isinstance(value, Mismatch | NodeAgreement | ValueAgreement) else value


def _earliest(mismatches: Mapping[str, Mismatch | None]) -> Mismatch | None:
    return min((m for m in mismatches.values() if m is not None), key=lambda m: m.step, default=None)


def _mismatch(reference: Recording, other: Recording, name: str) -> Mismatch | None:
    unequal = reference.spikes[name] != other.spikes[name]
    if not unequal.any():
        return None
    step = int(unequal.any(axis=1).argmax())
    where = step, int(unequal[step].argmax())
    expected, v = (float(r.v[name][where]) if name in r.v else None for r in (reference, other))
    return Mismatch(name, *where, expected, v)


def _lag(a: Spikes, b: Spikes) -> int | None:
    """The steps by which b repeats a, nothing before; None where it does not. Silence repeats nothing but silence."""
    for lag in range(min(LATEST, len(a) - 1) + 1):
        if np.array_equal(a[: len(a) - lag], b[lag:]) and not b[:lag].any() and (lag == 0 or b.any()):
            return lag
    return None


def _closeness(a: NDArray[Any], b: NDArray[Any]) -> ValueAgreement:
    difference, largest = float(np.abs(a - b).max(initial=0)), float(np.abs(a).max(initial=0))
    return ValueAgreement.of(difference, largest)


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norm == 0:
        return 1.0 if not a.any() and not b.any() else 0.0
    return min(float(a @ b) / norm, 1.0)
