"""One activity under one price list: the exact sum, what is included, and what is rejected by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar

import pytest
from float_bounds import U64, near
from hypothesis import given
from hypothesis import strategies as st

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.energy.estimate import Estimate, estimate, events
from neuroprompt.energy.lines import three_lines
from neuroprompt.energy.tables import not_priced
from neuroprompt.errors import BadData, BadSetting, Unpriced
from neuroprompt.spiking.activity import Activity

# Joules are sums of products of positive doubles. A count below 2^53 is exact; the price's decimal, its product and the
# sum (fsum) round once each: a result is within (1 + u)^3 of the true one, u = 2^-53. Of two results that share their
# prices, each rounds twice, and adding them rounds once more: 5 u apart at most. 6 u holds both.
CLOSE = 6 * U64


class AllIn(Prices):
    """A list whose one price holds everything beside it, as TrueNorth's figure does."""

    name = "all-in-example"
    title = "an all-in list"
    scope = "all-in"
    evidence = "measured"
    technology = "28 nm"
    voltage = "1 V"
    leaves_out = "nothing"
    prices: ClassVar[Mapping[str, Price]] = {"synops": Price(26e-12, "An example, 2014, Table 1", low=13e-12)}
    includes: ClassVar[Mapping[str, str]] = {
        "updates_active": "the whole chip",
        "updates_inactive": "the whole chip",
        "spikes": "the whole chip",
    }


@st.composite
def activities(draw: st.DrawFn) -> Activity:
    count = st.integers(0, 2**40)
    active, graded = draw(count), draw(count)
    return Activity(draw(count), graded + draw(count), active + draw(count), active, synops_graded=graded)


def by_hand(activity: Activity) -> Fraction:
    """Loihi's picojoules, in exact arithmetic."""
    return (
        Fraction("1.7") * activity.spikes
        + Fraction("23.6") * activity.synops
        + 81 * activity.updates_active
        + 52 * (activity.updates - activity.updates_active)
    )


def test_an_update_is_paid_once() -> None:
    counts = events(
        Activity(3, 5, 10, 3, 7, synops_graded=2, synops_dense=50, reads=8, writes=9, states=20, macs_int8=2)
    )
    assert counts == {
        "spikes": 3,
        "synops": 3,
        "synops_graded": 2,
        "updates_active": 3,
        "updates_inactive": 7,
        "macs": 5,
        "macs_int8": 2,
        "reads": 8,
        "writes": 9,
        "states": 20,
    }


@pytest.mark.parametrize(
    "wrong", [Activity(updates=2, updates_active=3), Activity(macs=-1), Activity(synops=1, synops_graded=2)]
)
def test_counts_that_cannot_be_are_refused(wrong: Activity) -> None:
    with pytest.raises(BadData, match="counts of at least 0"):
        estimate(wrong, Prices.named("loihi"))


def test_a_spike_nvpt_generator_by_hand() -> None:
    # 12 x 10 x 768 IF neurons, 4 steps, every neuron spikes once: 92160 spikes and active updates, 276480 inactive.
    # 92160 x 1.7 + 92160 x 81 + 276480 x 52 = 156672 + 7464960 + 14376960 = 21998592 pJ
    spent = estimate(Activity(spikes=92160, updates=368640, updates_active=92160), Prices.named("loihi"))
    assert spent.joules == near(21_998_592e-12)
    assert {t.event: t.count for t in spent.terms} == {
        "spikes": 92160,
        "updates_active": 92160,
        "updates_inactive": 276480,
    }


@pytest.mark.parametrize(("name", "millijoules"), [("horowitz-45nm-fp32", 80.96), ("horowitz-45nm-int8", 4.048)])
def test_a_vit_base_by_hand(name: str, millijoules: float) -> None:
    # 17.6e9 x 4.6 pJ = 80.96 mJ; 17.6e9 x 0.23 pJ = 4.048 mJ
    spent = estimate(Activity(macs=17_600_000_000), Prices.named(name))
    assert spent.joules == near(millijoules * 1e-3)


@given(activities())
def test_the_estimate_is_the_exact_sum(activity: Activity) -> None:
    exact = by_hand(activity) / 10**12
    got = Fraction(estimate(activity, Prices.named("loihi")).joules)
    assert abs(got - exact) <= Fraction(CLOSE) * exact


@given(activities(), activities())
def test_the_estimate_is_linear(a: Activity, b: Activity) -> None:
    loihi = Prices.named("loihi")
    apart = estimate(a, loihi).joules + estimate(b, loihi).joules
    assert estimate(a + b, loihi).joules == near(apart, 3)


def test_nothing_costs_nothing() -> None:
    assert estimate(Activity(), Prices.named("loihi")).joules == 0
    assert estimate(Activity(), Prices.named("loihi")).terms == ()


def test_an_unpriced_term_is_refused_by_name_and_the_fix_is_a_list_that_has_it() -> None:
    with pytest.raises(Unpriced) as error:
        estimate(Activity(synops=9, updates=8, updates_active=3), Prices.named("horowitz-45nm-fp32"))
    message = str(error.value)
    assert "3 updates_active, 5 updates_inactive without a price in 'horowitz-45nm-fp32'" in message
    able = "horowitz-45nm-fp32-memory, horowitz-45nm-int8-memory, keras-spiking-loihi, loihi, odin, spinnaker"
    assert all(name in message.rsplit(":", 1)[1] for name in able.split(", "))
    assert "darwin3" not in message
    assert "9 synops" not in message


def test_an_unpriced_term_that_was_not_counted_does_no_harm() -> None:
    spent = estimate(Activity(synops=10), Prices.named("horowitz-45nm-fp32"))
    assert spent.joules == near(9e-12)


GENERATOR, BACKBONE = Activity(spikes=10, updates=30, updates_active=10), Activity(macs=1000)


def test_an_all_in_price_holds_the_events_beside_it() -> None:
    spent = estimate(Activity(spikes=3, synops=10, updates=20, updates_active=3), AllIn())
    assert spent.joules == near(260e-12)
    assert list(spent.range) == near([130e-12, 260e-12])
    assert set(spent.included) == {"spikes", "updates_active", "updates_inactive"}
    assert spent.json()["included"] == dict.fromkeys(spent.included, "the whole chip")


def test_a_figure_holds_nothing_where_its_own_event_was_not_counted() -> None:
    with pytest.raises(Unpriced, match="20 updates_inactive"):
        estimate(Activity(updates=20), AllIn())
    with pytest.raises(Unpriced, match="4 updates_inactive without a price in 'truenorth'"):
        estimate(Activity(updates=4), Prices.named("truenorth"))


def test_a_list_with_memory_refuses_operations_whose_traffic_was_not_counted() -> None:
    with pytest.raises(Unpriced, match="9 macs whose memory traffic was not counted"):
        estimate(Activity(macs=9), Prices.named("horowitz-45nm-fp32-memory"))
    assert estimate(Activity(macs=9, reads=6, writes=1), Prices.named("horowitz-45nm-fp32-memory")).joules > 0


def test_what_a_figure_does_not_say_it_includes_is_refused_by_name() -> None:
    with pytest.raises(Unpriced, match=r"4 synops_graded without a price in 'all-in-example'"):
        estimate(Activity(synops=9, synops_graded=4, updates=20), AllIn())
    with pytest.raises(Unpriced, match=r"7 macs"):
        estimate(Activity(synops=9, macs=7), AllIn())


def test_memory_traffic_without_a_price_is_named_and_with_one_is_paid() -> None:
    activity = Activity(synops=10, updates=4, reads=10, states=8)
    spent = estimate(activity, Prices.named("loihi"))
    assert spent.not_priced == {"reads": 10, "states": 8}
    paid = estimate(activity, Prices.named("horowitz-45nm-int8-memory"))
    assert paid.not_priced == {}
    # 10 x 0.03 + 4 x 3.2 + 10 x 2.5 + 8 x 10 pJ; low: no leak, a cache of 8 KB; high: one of 1 MB
    assert paid.joules == near((0.3 + 12.8 + 25 + 80) * 1e-12)
    assert paid.range[0] == near((0.3 + 0.4 + 12.5 + 40) * 1e-12)
    assert paid.range[1] == near((0.3 + 12.8 + 125 + 400) * 1e-12)
    assert "10 reads" in not_priced(three_lines(activity, BACKBONE, baked=True))[0]


def test_a_measured_power_needs_the_seconds_of_a_run_on_that_chip() -> None:
    with pytest.raises(Unpriced, match=r"'speck' is a measured power.*--seconds"):
        three_lines(GENERATOR, BACKBONE, "speck", baked=True)
    spent = estimate(GENERATOR, Prices.named("speck"), seconds=0.01)
    assert spent.joules == near(7e-6)
    assert list(spent.range) == near([4.2e-6, 7e-6])
    assert estimate(Activity(), Prices.named("speck")).joules == 0
    for seconds in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(BadSetting, match="seconds"):
            estimate(GENERATOR, Prices.named("speck"), seconds)
    with pytest.raises(Unpriced, match="macs"):
        estimate(BACKBONE, Prices.named("speck"), seconds=0.01)


def priced_or_refused(activity: Activity, name: str) -> Estimate | str:
    try:
        return estimate(activity, Prices.named(name), seconds=1.0)
    except Unpriced as error:
        return str(error)


@given(activities(), st.sampled_from(Prices.names()))
def test_a_figure_lies_in_its_range_and_all_of_it_is_paid(activity: Activity, name: str) -> None:
    spent = priced_or_refused(activity, name)
    if isinstance(spent, str):
        assert any(f"{count} {event}" in spent for event, count in events(activity).items())
        return
    assert spent.range[0] <= spent.joules <= spent.range[1]
    named = {term.event for term in spent.terms} | set(spent.included) | set(spent.not_priced)
    assert spent.prices.watts or {event for event, count in events(activity).items() if count} <= named
