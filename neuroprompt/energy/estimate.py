"""The energy estimate: exact counts times published prices, in three lines: generator, backbone, total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum, inf
from typing import Any

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.errors import BadData, BadSetting, Unpriced
from neuroprompt.spiking.activity import Activity

NOTE = "Estimated, not measured"
TRAFFIC = ("reads", "writes", "states")
"""Memory traffic: counted for lists that price it; of all others it is said that it is not priced."""
SIZES = ("synops_dense", "updates")
"""What an Activity holds beside events: sizes that other terms are parts of."""


@dataclass(frozen=True)
class Term:
    """One priced event: `count` times `price.joules`. Of a chip with a measured power, `count` is seconds."""

    event: str
    count: float
    price: Price

    @property
    def joules(self) -> float:
        """Joules of all of them."""
        return self.count * self.price.joules

    def json(self) -> dict[str, Any]:
        """Event, count, joules of one and of all, their range, and where the price stands."""
        low, high = (self.count * joules for joules in self.price.range)
        one = {"event": self.event, "count": self.count, "joules_each": self.price.joules}
        return one | {"joules": self.joules, "range": [low, high], "source": self.price.source}


@dataclass(frozen=True)
class Estimate:
    """Estimated joules of one activity under one price list.

    included    events that the list's figures hold already, with what the source says of it
    not_priced  memory traffic that was counted and that the list has no price for
    """

    activity: Activity
    prices: Prices
    terms: tuple[Term, ...]
    included: Mapping[str, str]
    not_priced: Mapping[str, int]

    @property
    def joules(self) -> float:
        """The sum over the terms, in joules."""
        return fsum(term.joules for term in self.terms)

    @property
    def range(self) -> tuple[float, float]:
        """(low, high): the sum with every price at that end of what its source gives."""
        low, high = (fsum(term.count * term.price.range[end] for term in self.terms) for end in (0, 1))
        return low, high

    def json(self) -> dict[str, Any]:
        """Counts, joules, the terms with their sources, and what the price list is and leaves out."""
        about = ("title", "scope", "evidence", "technology", "voltage", "leaves_out")
        return {
            "counts": self.activity.json(),
            "joules": self.joules,
            "range": list(self.range),
            "prices": self.prices.name,
            **{key: getattr(self.prices, key) for key in about},
            "included": dict(self.included),
            "not_priced": dict(self.not_priced),
            "terms": [term.json() for term in self.terms],
            "note": NOTE,
        }


def events(activity: Activity) -> dict[str, int]:
    """The counts as events that do not overlap, so that each is paid once.

    updates_inactive = updates - updates_active; synops are those that only add, synops_graded those that multiply; the
    other terms as they are. Raises BadData on a negative count.
    """
    counts = activity.json()
    counts["updates_inactive"] = counts["updates"] - counts["updates_active"]
    counts["synops"] -= counts["synops_graded"]
    for event, count in counts.items():
        if count < 0:
            expected = "counts of at least 0, updates_active <= updates and synops_graded <= synops"
            raise BadData(f"{count} {event} in {activity}", expected)
    return {event: count for event, count in counts.items() if event not in SIZES}


def estimate(activity: Activity, prices: Prices, seconds: float | None = None) -> Estimate:
    """Price an activity: E = sum over events of count times joules each.

    Every operation that is counted must have a price, or be held by the figure of another that was counted too, as its
    source says (`Prices.includes`), or the estimate is refused: a part is never given as the whole. A list that prices
    memory refuses operations whose traffic was not counted; of others the traffic is named in `not_priced`. A list of
    measured power is P times `seconds` of the run on that chip, and holds all that spiking parts do. Raises Unpriced,
    BadData, BadSetting.
    """
    counted = {event: count for event, count in events(activity).items() if count}
    missing = _missing(counted, type(prices))
    if missing:
        raise Unpriced(
            f"{', '.join(f'{counted[event]} {event}' for event in missing)} without a price in {prices.name!r}",
            f"only {', '.join(prices.prices) or 'spiking parts'}",
            f"lists that price all of it: {', '.join(_able(counted)) or 'none'}",
        )
    blind = [event for event in ("macs", "synops", "synops_graded") if event in counted and "reads" not in counted]
    if blind and "reads" in prices.prices:
        got = f"{', '.join(f'{counted[event]} {event}' for event in blind)} whose memory traffic was not counted"
        raise Unpriced(got, f"what {prices.name!r} prices: memory too", "use the bundle that holds the ONNX file")
    terms = [Term(event, counted[event], prices.prices[event]) for event in counted if event in prices.prices]
    if prices.watts is not None and counted:
        if seconds is None:
            got = f"{prices.name!r} is a measured power, and how long this run takes on that chip is not known"
            raise Unpriced(got, "the seconds of one run there", "for example --seconds 0.01")
        if not 0 < seconds < inf:
            raise BadSetting(f"{seconds} seconds", "a number above 0")
        terms.append(Term("seconds", seconds, prices.watts))
    held = {event: why for event, why in prices.includes.items() if event in counted}
    left = {event: counted[event] for event in TRAFFIC if event in counted and event not in prices.prices}
    left = {} if prices.watts else left
    return Estimate(activity, prices, tuple(terms), held, left)


def energy(
    generator: Activity,
    backbone: Activity,
    generator_prices: str | Prices = "loihi",
    backbone_prices: str | Prices = "horowitz-45nm-fp32",
    *,
    baked: bool,
    seconds: float | None = None,
) -> dict[str, Any]:
    """The three lines, as JSON-able values: one run of the generator, one image through the backbone, and their total.

    `joules` is one run of the generator, one image, and their sum, `range` its low and high end. A baked prompt's
    generator runs once, at deployment: then it is `joules_per_deployment`, and `joules_per_image` of the generator is
    0. Otherwise it runs for every image. `share_generator` is its part of the total's `joules`, were it run for every
    image, `share_generator_per_image` of `joules_per_image` (None where that is 0). Where one list is all-in and the
    other per term their sum has no meaning: the total's figures are None. `seconds` as in `estimate`, for the
    generator. Raises UnknownName, Unpriced, BadData.
    """
    made = generator_line(estimate(generator, _named(generator_prices), seconds), baked)
    ran = backbone_line(estimate(backbone, _named(backbone_prices)))
    return {"generator": made, "backbone": ran, "total": total(made, ran), "baked": baked, "note": NOTE}


def generator_line(spent: Estimate, baked: bool) -> dict[str, Any]:
    """The generator's line of the three: at deployment where it is baked, else for every image."""
    joules = spent.joules
    return spent.json() | _often(joules, joules if baked else 0.0, 0.0 if baked else joules)


def backbone_line(spent: Estimate) -> dict[str, Any]:
    """The backbone's line of the three: for every image."""
    return spent.json() | _often(spent.joules, 0.0, spent.joules)


def total(made: Mapping[str, Any], ran: Mapping[str, Any]) -> dict[str, Any]:
    """The third line, of a generator's and a backbone's."""
    comparable = made["scope"] == ran["scope"] or not (made["joules"] and ran["joules"])
    sums = {key: made[key] + ran[key] if comparable else None for key in _often(0.0, 0.0, 0.0)}
    ends = [a + b for a, b in zip(made["range"], ran["range"], strict=True)]
    return sums | {
        "range": ends if comparable else None,
        "share_generator": _share(made["joules"], sums["joules"]),
        "share_generator_per_image": _share(made["joules_per_image"], sums["joules_per_image"]),
        "leaves_out": "training, the export itself, and what each line leaves out",
        "note": NOTE if comparable else f"{NOTE}; no total: an all-in price cannot be added to prices per term",
    }


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
    """The price lists that price every one of these events, or hold it."""
    parts = {name: Prices.part(name) for name in Prices.names()}
    return [name for name, part in parts.items() if part.watts is None and not _missing(counted, part)]


def _missing(counted: Iterable[str], prices: type[Prices]) -> list[str]:
    """The operations that have no price, and are held by no figure of one that was counted."""
    if prices.watts is not None:
        return [event for event in counted if event == "macs"]
    held = prices.includes if prices.prices.keys() & set(counted) else {}
    return [e for e in counted if e not in prices.prices and e not in held and e not in TRAFFIC]


def _named(prices: str | Prices) -> Prices:
    return Prices.named(prices) if isinstance(prices, str) else prices
