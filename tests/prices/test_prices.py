"""What every price list must hold, and the figures of those that there are."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest

from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.estimate import events
from neuroprompt.errors import UnknownName
from neuroprompt.spiking.activity import Activity

EVENTS = set(events(Activity()))


def test_the_lists_that_there_are() -> None:
    horowitz = {f"horowitz-45nm-{kind}{more}" for kind in ("fp32", "fp16", "int8") for more in ("", "-memory")}
    keras = {f"keras-spiking-{device}" for device in ("loihi", "cpu", "gpu", "arm")}
    chips = {"loihi", "truenorth", "spinnaker", "spinnaker2", "odin", "darwin3", "speck"}
    assert horowitz | keras | chips <= set(Prices.names())


def test_there_is_no_list_for_loihi_2() -> None:
    with pytest.raises(UnknownName, match=r"loihi-2.*loihi"):
        Prices.named("loihi-2")


@pytest.mark.parametrize("name", Prices.names())
def test_a_list_is_whole(name: str) -> None:
    prices = Prices.named(name)
    assert prices.name == name
    assert bool(prices.prices) != (prices.watts is not None), "a list prices events, or is a power"
    assert set(prices.prices) | set(prices.includes) <= EVENTS
    assert not set(prices.prices) & set(prices.includes)
    assert all(len(why) > 20 for why in prices.includes.values())
    for price in prices.prices.values():
        assert all(math.isfinite(joules) for joules in (price.joules, *price.range))
        assert 0 < price.range[0] <= price.joules <= price.range[1]
        # Between a femtojoule and a microjoule: a unit forgotten shows.
        assert 1e-15 < price.joules < 1e-6
        assert re.search(r"\b(19|20)\d\d\b", price.source), "the paper's year"
        assert re.search(r"(Table|Fig\.) [\d.]+|abstract|text|ModelEnergy", price.source), "where in it"
    assert prices.scope in ("per term", "all-in")
    assert prices.evidence in ("measured", "simulated", "datasheet", "estimated")
    assert prices.title
    assert prices.technology
    assert prices.voltage
    assert len(prices.leaves_out) > 20
    assert (type(prices).__doc__ or "").strip()


@pytest.mark.parametrize(
    ("name", "picojoules"),
    [
        (
            "loihi",
            {
                "synops": "23.6",
                "synops_graded": "23.6",
                "updates_active": "81",
                "updates_inactive": "52",
                "spikes": "1.7",
            },
        ),
        ("truenorth", {"synops": "26"}),
        ("odin", {"synops": "12.7"}),
        ("darwin3", {"synops": "5.47"}),
        ("spinnaker", {"synops": "13300", "updates_active": "26000", "updates_inactive": "26000"}),
        ("spinnaker2", {"synops": "450", "updates_active": "2190", "updates_inactive": "2190"}),
        ("keras-spiking-loihi", {"synops": "27.1", "updates_active": "81", "updates_inactive": "81"}),
        (
            "sana-fe-loihi",
            {
                "synops": "35.5",
                "synops_graded": "35.5",
                "updates_active": "142.1",
                "updates_inactive": "72.8",
                "spikes": "111",
            },
        ),
        ("keras-spiking-cpu", {"macs": "8600"}),
        ("keras-spiking-gpu", {"macs": "300"}),
        ("keras-spiking-arm", {"macs": "900"}),
        ("horowitz-45nm-fp32", {"macs": "4.6", "macs_int8": "0.23", "synops": "0.9", "synops_graded": "4.6"}),
        ("horowitz-45nm-fp16", {"macs": "1.5", "macs_int8": "0.23", "synops": "0.4", "synops_graded": "1.5"}),
        ("horowitz-45nm-int8", {"macs": "0.23", "macs_int8": "0.23", "synops": "0.03", "synops_graded": "0.23"}),
        (
            "horowitz-45nm-int8-memory",
            {
                "macs": "0.23",
                "macs_int8": "0.23",
                "synops": "0.03",
                "synops_graded": "0.23",
                "updates_active": "3.2",
                "updates_inactive": "3.2",
                "reads": "2.5",
                "writes": "2.5",
                "states": "10",
            },
        ),
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


def test_ranges_are_those_of_the_source() -> None:
    assert Prices.named("odin").prices["synops"].range == (8.43e-12, 12.7e-12)
    assert Prices.named("loihi").prices["updates_inactive"].range == (52e-12, 81e-12)
    assert Prices.named("horowitz-45nm-fp32-memory").prices["reads"].range == (5e-12, 50e-12)
    speck = Prices.named("speck").watts
    assert speck is not None
    assert (speck.joules, speck.range) == (0.70e-3, (0.42e-3, 0.70e-3))


@pytest.mark.parametrize("name", ["truenorth", "odin"])
def test_an_all_in_figure_holds_spikes_and_updates(name: str) -> None:
    assert Prices.named(name).scope == "all-in"
    assert {"spikes", "updates_active", "updates_inactive"} == set(Prices.named(name).includes)
