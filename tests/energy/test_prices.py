"""What every price list must hold, and the figures of those that there are."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest

from neuroprompt.activity import Activity
from neuroprompt.contracts import Prices
from neuroprompt.errors import UnknownName
from neuroprompt.pricing import events

EVENTS = set(events(Activity()))


def test_the_lists_that_there_are() -> None:
    assert {"loihi", "horowitz-45nm-fp32", "horowitz-45nm-fp16", "horowitz-45nm-int8"} <= set(Prices.names())


def test_there_is_no_list_for_loihi_2() -> None:
    with pytest.raises(UnknownName, match=r"loihi-2.*loihi"):
        Prices.named("loihi-2")


@pytest.mark.parametrize("name", Prices.names())
def test_a_list_is_whole(name: str) -> None:
    prices = Prices.named(name)
    assert prices.name == name
    assert prices.prices, "a list prices something"
    assert set(prices.prices) <= EVENTS
    for price in prices.prices.values():
        assert math.isfinite(price.joules)
        assert price.joules > 0
        # Between a femtojoule and a microjoule: a unit forgotten shows.
        assert 1e-15 < price.joules < 1e-6
        assert re.search(r"\b(19|20)\d\d\b", price.source), "the paper's year"
        assert re.search(r"(Table|Fig\.|Section) [\d.]+", price.source), "the table or figure"
    assert prices.scope in ("per term", "all-in")
    assert prices.evidence in ("measured", "simulated", "datasheet", "estimated")
    assert prices.title
    assert prices.technology
    assert len(prices.leaves_out) > 20
    assert (type(prices).__doc__ or "").strip()


@pytest.mark.parametrize(
    ("name", "picojoules"),
    [
        ("loihi", {"synops": "23.6", "updates_active": "81", "updates_inactive": "52", "spikes": "1.7"}),
        ("horowitz-45nm-fp32", {"macs": "4.6", "synops": "0.9"}),
        ("horowitz-45nm-fp16", {"macs": "1.5", "synops": "0.4"}),
        ("horowitz-45nm-int8", {"macs": "0.23", "synops": "0.03"}),
    ],
)
def test_the_published_figures(name: str, picojoules: dict[str, str]) -> None:
    found = {event: price.joules for event, price in Prices.named(name).prices.items()}
    assert found == {event: float(Fraction(value) / 10**12) for event, value in picojoules.items()}


@pytest.mark.parametrize(
    ("name", "multiply", "add"),
    [
        ("horowitz-45nm-fp32", "3.7", "0.9"),
        ("horowitz-45nm-fp16", "1.1", "0.4"),
        ("horowitz-45nm-int8", "0.2", "0.03"),
    ],
)
def test_a_multiply_accumulate_is_one_multiplication_and_one_addition(name: str, multiply: str, add: str) -> None:
    prices = Prices.named(name).prices
    assert prices["macs"].joules == float((Fraction(multiply) + Fraction(add)) / 10**12)
    assert multiply in prices["macs"].source
    assert add in prices["macs"].source
    assert prices["synops"].joules == float(Fraction(add) / 10**12)


def test_loihi_is_said_to_be_simulated_and_to_leave_out_the_hops() -> None:
    loihi = Prices.named("loihi")
    assert loihi.evidence == "simulated"
    assert "hops" in loihi.leaves_out
    assert "Loihi 1" in loihi.title
