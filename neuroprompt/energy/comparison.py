"""Several price lists side by side: what each says of generator and backbone, and the totals that make sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.estimate import NOTE, backbone_line, estimate, events, generator_line, total
from neuroprompt.errors import Unpriced
from neuroprompt.spiking.activity import Activity


def compare_prices(
    generator: Activity, backbone: Activity, lists: Sequence[Prices], *, baked: bool, seconds: float | None = None
) -> dict[str, Any]:
    """The generator's and the backbone's line under every list that can price it, as JSON-able values.

    "generator" and "backbone" are lines as `energy` gives them; "totals" one for each pair of lists whose sum has a
    meaning; "refused" says why a list gives no line for a part: the term that it has no price for. A part that did
    nothing has no lines. Raises Unpriced where no list prices anything.
    """
    found: dict[str, list[dict[str, Any]]] = {"generator": [], "backbone": []}
    refused, errors = [], []
    for prices in lists:
        for part, activity in (("generator", generator), ("backbone", backbone)):
            if not any(events(activity).values()):
                continue
            try:
                if part == "generator":
                    found[part].append(generator_line(estimate(activity, prices, seconds), baked))
                else:
                    found[part].append(backbone_line(estimate(activity, prices)))
            except Unpriced as error:
                refused.append({"part": part, "prices": prices.name, "reason": str(error)})
                errors.append(error)
    if errors and not any(found.values()):
        raise errors[0]
    totals = [
        {"generator": made["prices"], "backbone": ran["prices"], **total(made, ran)}
        for made in found["generator"]
        for ran in found["backbone"]
        if made["scope"] == ran["scope"]
    ]
    return {**found, "totals": totals, "refused": refused, "baked": baked, "note": NOTE}
