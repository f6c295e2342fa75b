"""A data set verified in parts that add up: results of items one after the other, and as JSON that a shard writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from itertools import accumulate
from typing import Any

import numpy as np

from neuroprompt.simulators.compare import Matches, Mismatch, NodeAgreement, ValueAgreement
from neuroprompt.simulators.per_item import PerItem
from neuroprompt.simulators.verify import ReferenceRun, TargetAgreement, Verification
from neuroprompt.spiking.activity import Activity

JSON = dict[str, Any]
COUNTS = ("spikes", "synops", "graded")


def joined(parts: Sequence[Verification]) -> Verification:
    """The verification of all items, of those of items one after the other; recordings are the first part's.

    A target that broke in one part is in `failed`, and one that could not run in one part in `skipped`.
    """
    if len(parts) == 1:
        return parts[0]
    sizes = [part.items or 0 for part in parts]
    items, first = sum(sizes), parts[0]
    reference = replace(
        first.reference,
        spikes=sum(part.reference.spikes for part in parts),
        seconds=_sum([part.reference.seconds for part in parts]),
        accuracy=_share([part.reference.accuracy for part in parts], sizes),
        several=dict(sum((Counter(part.reference.several) for part in parts), Counter[str]())),
    )
    failed = {name: why for part in parts for name, why in part.failed.items()}
    skipped = {name: why for part in parts for name, why in part.skipped.items() if name not in failed}
    names = [name for name in first.targets if name not in failed and name not in skipped]
    targets = {name: _target([part.targets[name] for part in parts], sizes) for name in names}
    return Verification(reference, targets, skipped, failed, first.recordings, items)


def _target(parts: Sequence[TargetAgreement], sizes: Sequence[int]) -> TargetAgreement:
    nodes = {name: NodeAgreement(**_node([part.nodes[name] for part in parts], sizes)) for name in parts[0].nodes}
    values = {}
    for name in parts[0].values:
        of = [part.values[name] for part in parts]
        values[name] = ValueAgreement.of(max(v.max_abs_diff for v in of), max(v.largest for v in of))
    counts = [part.counts for part in parts if part.counts is not None]
    states = [part.states_exact_with_emulator for part in parts]
    entries = [part.matches.steps * part.matches.reference.size for part in parts]
    return replace(
        parts[0],
        **_node(parts, sizes),
        nodes=nodes,
        values=values,
        cause=_cause(parts),
        seconds=_sum([part.seconds for part in parts]),
        exact_with_emulator=_share([part.exact_with_emulator for part in parts], entries),
        states_exact_with_emulator=None if None in states else all(states),
        accuracy=_share([part.accuracy for part in parts], sizes),
        changed=_sum([part.changed for part in parts]),
        counts=PerItem.joined(counts) if counts else None,
    )


def _node(parts: Sequence[NodeAgreement], sizes: Sequence[int]) -> JSON:
    """The fields of all parts; the first mismatch is that of the first part with one, its item counted from there."""
    starts = accumulate(sizes, initial=0)
    mismatches = [
        replace(part.first_mismatch, item=start + (part.first_mismatch.item or 0))
        for part, start in zip(parts, starts, strict=False)
        if part.first_mismatch is not None
    ]
    matches = Matches.joined([part.matches for part in parts])
    return matches.measures() | {"first_mismatch": mismatches[0] if mismatches else None}


def _cause(parts: Sequence[TargetAgreement]) -> str | None:
    """That of the first part that differs; a delay only where all parts that differ have the same."""
    causes = [part.cause for part in parts if part.first_mismatch is not None]
    late = bool(causes) and causes[0] is not None and causes[0].startswith("late")
    return None if not causes or (late and len(set(causes)) > 1) else causes[0]


def _sum(values: Sequence[Any]) -> Any:
    return None if None in values else sum(values)


def _share(shares: Sequence[float | None], sizes: Sequence[int]) -> float | None:
    """The share of all, of shares of so many each: they are whole numbers over those sizes."""
    whole = [None if share is None else round(share * size) for share, size in zip(shares, sizes, strict=True)]
    total = _sum(whole)
    return None if total is None else total / sum(sizes) if sum(sizes) else 1.0


# --- as JSON ---------------------------------------------------------------------------------------------------------


def json_of(verified: Verification) -> JSON:
    """All but the recordings, in whole numbers where they are counted."""
    targets = {name: _target_json(target) for name, target in verified.targets.items()}
    about = {"skipped": dict(verified.skipped), "failed": dict(verified.failed), "items": verified.items}
    return {"reference": asdict(verified.reference), "targets": targets, **about}


def of_json(values: JSON) -> Verification:
    """What `json_of` wrote."""
    targets = {name: _target_of(target) for name, target in values["targets"].items()}
    about = values["skipped"], values["failed"]
    return Verification(ReferenceRun(**values["reference"]), targets, *about, items=values["items"])


PLAIN = (
    *("seconds", "cause", "integers", "scale_report", "delay", "exact_with_emulator", "states_exact_with_emulator"),
    *("accuracy", "changed"),
)
"""Fields of a target that are JSON already."""


def _target_json(target: TargetAgreement) -> JSON:
    counts = target.counts
    return {
        **{name: getattr(target, name) for name in PLAIN},
        "node": _node_json(target),
        "nodes": {name: _node_json(node) for name, node in target.nodes.items()},
        "values": {name: [value.max_abs_diff, value.largest] for name, value in target.values.items()},
        "counts": None
        if counts is None
        else {name: getattr(counts, name).tolist() for name in COUNTS} | {"same": asdict(counts.same)},
    }


def _target_of(values: JSON) -> TargetAgreement:
    counts = values["counts"]
    if counts is not None:
        arrays = {name: np.array(counts[name], np.int64) for name in COUNTS}
        counts = PerItem(**arrays, same=Activity(**counts["same"]))
    return TargetAgreement(
        **_node_of(values["node"]),
        **{name: values[name] for name in PLAIN},
        nodes={name: NodeAgreement(**_node_of(node)) for name, node in values["nodes"].items()},
        values={name: ValueAgreement.of(*value) for name, value in values["values"].items()},
        counts=counts,
    )


def _node_json(node: NodeAgreement) -> JSON:
    matches = {f.name: np.asarray(getattr(node.matches, f.name)).tolist() for f in fields(Matches)}
    first = node.first_mismatch
    return {"matches": matches, "first": None if first is None else asdict(first)}


def _node_of(values: Mapping[str, Any]) -> JSON:
    arrays = {name: np.array(values["matches"][name], np.int64) for name in ("reference", "other")}
    first = values["first"]
    matches = Matches(**{**values["matches"], **arrays})
    return matches.measures() | {"first_mismatch": None if first is None else Mismatch(**first)}
