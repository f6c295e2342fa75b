"""Recordings compared spike by spike, over all and node by node, and why they differ where the cause is a known one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Recording, Spikes
from neuroprompt.errors import BadSetting

LATEST = 8
"""The longest delay, in steps, that is looked for."""
ROUNDING = 1e-6
"""How near to its threshold, as a share of it, a potential may be decided by the last bits of a float sum."""


def compare(reference: Recording, other: Recording) -> dict[str, Any]:
    """How `other` agrees with `reference`, spike by spike: over all neurons, and in "nodes" by node.

    spike_exact     equal (step, neuron) cells of all cells; 1.0 only where all are equal
    jaccard         spikes in both of spikes in either; 1.0 where neither has any
    rate_cosine     cosine of the neurons' mean rates (Pedersen et al., Nat. Commun. 15:8122, 2024)
    first_mismatch  the earliest unequal cell (node, step, neuron, both potentials after the reset), or None
    values          of nodes that never fire: the largest difference, and that over the largest value

    Raises BadSetting for recordings of other nodes, steps or sizes.
    """
    if list(reference.spikes) != list(other.spikes):
        raise BadSetting(f"recordings of {list(other.spikes)}", f"the same nodes: {list(reference.spikes)}")
    a, b = cells(reference), cells(other)
    if a.shape != b.shape:
        raise BadSetting(f"recordings of shape {b.shape}", f"{a.shape}: steps, neurons")
    nodes = {
        name: _agreement(fired, other.spikes[name]) | {"first_mismatch": _mismatch(reference, other, name)}
        for name, fired in reference.spikes.items()
    }
    first = _first_mismatch(reference, other)
    values = {name: _closeness(given, other.values[name]) for name, given in reference.values.items()}
    return _agreement(a, b) | {"first_mismatch": first, "seconds": other.seconds, "nodes": nodes, "values": values}


def cells(recording: Recording) -> Spikes:
    """The spikes of all nodes side by side, (T, n)."""
    fired = [s.astype(bool) for s in recording.spikes.values()]
    if not fired:  # a graph of nodes that never fire
        return np.zeros((len(next(iter(recording.values.values()), ())), 0), bool)
    return np.concatenate(fired, axis=1)


def known_cause(reference: Recording, other: Recording, precision: str, thresholds: Mapping[str, Any]) -> str | None:
    """Why `other` differs from `reference`, in words: a delay, the integers, or a tie; None where equal or unknown.

    delay      every node's spikes are the reference's, in step or some steps later
    integers   precision is "fixed": weights, decays and thresholds are whole numbers
    tie        at the first mismatch the potential of whichever did not fire is at its threshold, within 1e-6 of it
    """
    first = _first_mismatch(reference, other)
    if first is None:
        return None
    lags = {name: _lag(fired, other.spikes[name]) for name, fired in reference.spikes.items()}
    if None not in lags.values():
        return "late: " + ", ".join(f"{name} by {lag} step{'s' * (lag != 1)}" for name, lag in lags.items() if lag)
    if precision == "fixed":
        return "integers: weights, decays and thresholds are rounded to the chip's"
    fired = reference.spikes[first["node"]][first["step"], first["neuron"]]
    below, threshold = first["v"] if fired else first["reference_v"], thresholds.get(first["node"])
    if isinstance(threshold, np.ndarray):
        threshold = float(threshold.reshape(-1)[first["neuron"] if threshold.size > 1 else 0])
    if below is not None and threshold is not None and abs(below - threshold) <= ROUNDING * max(threshold, ROUNDING):
        return f"a tie: the potential is at the threshold {threshold:g}, and the order of a sum decides"
    return None


def _agreement(a: Spikes, b: Spikes) -> dict[str, Any]:
    both, either = int((a & b).sum()), int((a | b).sum())
    return {
        "spike_exact": int((a == b).sum()) / a.size if a.size else 1.0,
        "jaccard": both / either if either else 1.0,
        "rate_cosine": _cosine(a.mean(axis=0), b.mean(axis=0)),
        "spikes": int(b.sum()),
        "spikes_reference": int(a.sum()),
    }


def _first_mismatch(reference: Recording, other: Recording) -> dict[str, Any] | None:
    found = [_mismatch(reference, other, name) for name in reference.spikes]
    return min((m for m in found if m is not None), key=lambda m: int(m["step"]), default=None)


def _mismatch(reference: Recording, other: Recording, name: str) -> dict[str, Any] | None:
    unequal = reference.spikes[name] != other.spikes[name]
    if not unequal.any():
        return None
    step = int(unequal.any(axis=1).argmax())
    where = step, int(unequal[step].argmax())
    return {
        "node": name,
        "step": where[0],
        "neuron": where[1],
        "reference_v": float(reference.v[name][where]) if name in reference.v else None,
        "v": float(other.v[name][where]) if name in other.v else None,
    }


def _lag(a: Spikes, b: Spikes) -> int | None:
    """The steps by which b repeats a, nothing before; None where it does not. Silence repeats nothing but silence."""
    for lag in range(min(LATEST, len(a) - 1) + 1):
        if np.array_equal(a[: len(a) - lag], b[lag:]) and not b[:lag].any() and (lag == 0 or b.any()):
            return lag
    return None


def _closeness(a: NDArray[Any], b: NDArray[Any]) -> dict[str, float]:
    difference, largest = float(np.abs(a - b).max(initial=0)), float(np.abs(a).max(initial=0))
    return {"max_abs_diff": difference, "max_rel_diff": difference / largest if largest else difference}


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norm == 0:
        return 1.0 if not a.any() and not b.any() else 0.0
    return min(float(a @ b) / norm, 1.0)
