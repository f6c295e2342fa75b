"""Prices one activity: exact counts times published prices, every operation paid once or the estimate is rejected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum, inf

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.errors import BadData, BadSetting, Unpriced
from neuroprompt.spiking.activity import Activity

NOTE = "Estimated, not measured"
TRAFFIC = ("reads", "writes", "states")
"""Memory traffic: counted for lists that price it; with any other list it is named as not priced."""
SIZES = ("synops_dense", "updates")
"""What an Activity holds beside events: sizes that other terms are parts of."""


@dataclass(frozen=True)
class Term:
    """One priced event: `count` times `price.joules`. For a chip with a measured power, `count` is seconds."""

    event: str
    count: float
    price: Price

    @property
    def joules(self) -> float:
        """Joules of all of them."""
        return self.count * self.price.joules

    def json(self) -> dict[str, object]:
        """Event, count, joules of one and of all, their range, and where the price is published."""
        low, high = (self.count * joules for joules in self.price.range)
        each = {"event": self.event, "count": self.count, "joules_each": self.price.joules}
        return each | {"joules": self.joules, "range": [low, high], "source": self.price.source}


@dataclass(frozen=True)
class Estimate:
    """Estimated joules of one activity under one price list.

    included    events that the list's figures include already, with what the source says about it
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

    def json(self) -> dict[str, object]:
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

    updates_inactive = updates - updates_active; synops are those that only add, synops_graded those that multiply; macs
    are those that are not of 8-bit integers, macs_int8 those that are; the other terms as they are. Raises BadData on a
    negative count.
    """
    counts = activity.json()
    counts["updates_inactive"] = counts["updates"] - counts["updates_active"]
    counts["synops"] -= counts["synops_graded"]
    counts["macs"] -= counts["macs_int8"]
    for event, count in counts.items():
        if count < 0:
            expected = (
                "counts of at least 0, and of each part at most the whole: updates_active, synops_graded, macs_int8"
            )
            raise BadData(f"{count} {event} in {activity}", expected)
    return {event: count for event, count in counts.items() if event not in SIZES}


def estimate(activity: Activity, prices: Prices, seconds: float | None = None) -> Estimate:
    """Price an activity: E = sum over events of count times joules each.

    Every operation that is counted needs a price, or must be included in the figure of another operation that was
    counted too (`Prices.includes`): a part is never given as the whole. A list that prices memory needs the memory
    traffic of each operation; with other lists the traffic is named in `not_priced`. A list of a measured power is
    P times `seconds`, the time of the run on that chip, and covers everything that spiking parts do. Raises Unpriced,
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
    blind = [
        event
        for event in ("macs", "macs_int8", "synops", "synops_graded")
        if event in counted and "reads" not in counted
    ]
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
    included = {event: why for event, why in prices.includes.items() if event in counted}
    not_priced = {event: counted[event] for event in TRAFFIC if event in counted and event not in prices.prices}
    return Estimate(activity, prices, tuple(terms), included, {} if prices.watts else not_priced)


def _able(counted: Iterable[str]) -> list[str]:
    """The price lists that price, or include, every one of these events."""
    parts = {name: Prices.part(name) for name in Prices.names()}
    return [name for name, part in parts.items() if part.watts is None and not _missing(counted, part)]


def _missing(counted: Iterable[str], prices: type[Prices]) -> list[str]:
    """The operations that have no price, and that the figure of no counted one includes."""
    if prices.watts is not None:
        return [event for event in counted if event in ("macs", "macs_int8")]
    held = prices.includes if prices.prices.keys() & set(counted) else {}
    return [e for e in counted if e not in prices.prices and e not in held and e not in TRAFFIC]
