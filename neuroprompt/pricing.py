"""The energy estimate: exact counts times published prices, in three lines: generator, backbone, total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum
from typing import Any

from neuroprompt.activity import Activity
from neuroprompt.contracts import Prices
from neuroprompt.errors import BadData, Unpriced

NOTE = "Estimated, not measured"
TITLE = "Energy (estimated, not measured)"
COLUMNS = ("part", "prices", "scope", "evidence", "once", "an image")


@dataclass(frozen=True)
class Term:
    """One priced event: `count` times `joules_each`, and where the price stands."""

    event: str
    count: int
    joules_each: float
    source: str

    @property
    def joules(self) -> float:
        """Joules of all of them."""
        return self.count * self.joules_each


@dataclass(frozen=True)
class Estimate:
    """Estimated joules of one activity under one price list; `included` names events that an all-in price holds."""

    activity: Activity
    prices: Prices
    terms: tuple[Term, ...]
    included: tuple[str, ...] = ()

    @property
    def joules(self) -> float:
        """The sum over the terms, in joules."""
        return fsum(term.joules for term in self.terms)

    def json(self) -> dict[str, Any]:
        """Counts, joules, the terms with their sources, and what the price list is and leaves out."""
        return {
            "counts": self.activity.json(),
            "joules": self.joules,
            "prices": self.prices.name,
            "title": self.prices.title,
            "scope": self.prices.scope,
            "evidence": self.prices.evidence,
            "technology": self.prices.technology,
            "leaves_out": self.prices.leaves_out,
            "included": list(self.included),
            "terms": [vars(term) | {"joules": term.joules} for term in self.terms],
        }


def events(activity: Activity) -> dict[str, int]:
    """The counts as events that do not overlap, so that each is paid once.

    updates_inactive = updates - updates_active; the other terms as they are. Raises BadData on a negative count.
    """
    counts = activity.json()
    counts["updates_inactive"] = counts.pop("updates") - counts["updates_active"]
    for event, count in counts.items():
        if count < 0:
            raise BadData(f"{count} {event} in {activity}", "counts of at least 0, and updates_active <= updates")
    return counts


def estimate(activity: Activity, prices: Prices) -> Estimate:
    """Price an activity: E = sum over events of count times joules each.

    Every event that is counted must have a price, or the estimate is refused: a part is never given as the whole.
    Under an all-in list the events without a price are held by those with one. Raises Unpriced, BadData.
    """
    counted = {event: count for event, count in events(activity).items() if count}
    priced = {event: prices.prices[event] for event in counted if event in prices.prices}
    missing = tuple(event for event in counted if event not in priced)
    if missing and not (prices.scope == "all-in" and priced):
        raise Unpriced(
            f"{', '.join(f'{counted[event]} {event}' for event in missing)} without a price in {prices.name!r}",
            f"only {', '.join(prices.prices)}",
            f"lists that price all of it: {', '.join(_able(counted)) or 'none'}",
        )
    terms = tuple(Term(event, counted[event], price.joules, price.source) for event, price in priced.items())
    return Estimate(activity, prices, terms, missing)


def energy(
    generator: Activity,
    backbone: Activity,
    generator_prices: str | Prices = "loihi",
    backbone_prices: str | Prices = "horowitz-45nm-fp32",
    *,
    baked: bool,
) -> dict[str, Any]:
    """The three lines, as JSON-able values: one run of the generator, one image through the backbone, and their total.

    `joules` is one run of the generator, one image, and their sum. A baked prompt's generator runs once, at deployment:
    then it is `joules_per_deployment`, and `joules_per_image` of the generator is 0. Otherwise it runs for every image.
    `share_generator` is its part of the total's `joules`, `share_generator_per_image` of `joules_per_image` (None where
    that is 0). Where one list is all-in and the other per term their sum has no meaning: the total's figures are None.
    Raises UnknownName, Unpriced, BadData.
    """
    spent = estimate(generator, _named(generator_prices)), estimate(backbone, _named(backbone_prices))
    made, ran = (part.joules for part in spent)
    lines = [
        spent[0].json() | _often(made, made if baked else 0.0, 0.0 if baked else made),
        spent[1].json() | _often(ran, 0.0, ran),
    ]
    comparable = spent[0].prices.scope == spent[1].prices.scope or not (made and ran)
    sums = {key: lines[0][key] + lines[1][key] if comparable else None for key in _often(0.0, 0.0, 0.0)}
    total = sums | {
        "share_generator": _share(made, sums["joules"]),
        "share_generator_per_image": _share(lines[0]["joules_per_image"], sums["joules_per_image"]),
        "leaves_out": "training, the export itself, and what each line leaves out",
        "note": NOTE if comparable else f"{NOTE}; no total: an all-in price cannot be added to prices per term",
    }
    return {"generator": lines[0], "backbone": lines[1], "total": total, "baked": baked, "note": NOTE}


def rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What `energy` gave, as three rows of a table under COLUMNS, with TITLE; `once` is at deployment."""
    table = []
    for part in ("generator", "backbone", "total"):
        line = report[part]
        named = tuple(line.get(key, "") for key in ("prices", "scope", "evidence"))
        table.append((part, *named, *(si(line[key]) for key in ("joules_per_deployment", "joules_per_image"))))
    return table


def counted(report: Mapping[str, Any]) -> list[str]:
    """What was counted, a line for each part that has counts."""
    lines = []
    for part in ("generator", "backbone"):
        terms = [f"{count:,} {term.replace('_', ' ')}" for term, count in report[part]["counts"].items() if count]
        if terms:
            lines.append(f"{part}, one run: {', '.join(terms)}; {si(report[part]['joules'])}")
    return lines


def si(joules: float | None) -> str:
    """Joules with an SI prefix and three significant digits: 2.3e-06 -> "2.30 µJ"; "-" for None."""
    if joules is None:
        return "-"
    if joules == 0:
        return "0 J"
    for factor, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ")):
        # 0.9995: what three digits round up to 1000 of a unit is 1.00 of the next.
        if joules >= 0.9995 * factor:
            return f"{_three(joules / factor)} {unit}"
    return f"{_three(joules / 1e-12)} pJ"


def _three(value: float) -> str:
    """Three significant digits, zeros kept, never in powers of ten."""
    digits = len(str(int(float(f"{value:.3g}"))))
    return f"{value:,.{max(0, 3 - digits)}f}"


def _often(joules: float, per_deployment: float, per_image: float) -> dict[str, float]:
    return {"joules": joules, "joules_per_deployment": per_deployment, "joules_per_image": per_image}


def _share(part: float, whole: float | None) -> float | None:
    return part / whole if whole else None


def _able(counted: Iterable[str]) -> list[str]:
    """The price lists that price every one of these events."""
    return [name for name in Prices.names() if set(counted) <= set(Prices.part(name).prices)]


def _named(prices: str | Prices) -> Prices:
    return Prices.named(prices) if isinstance(prices, str) else prices
