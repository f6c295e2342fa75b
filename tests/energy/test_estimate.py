from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.energy.estimate import NOTE, Estimate, energy, estimate, events
from neuroprompt.energy.tables import not_priced, rows
from neuroprompt.errors import BadData, BadSetting, UnknownName, Unpriced
from neuroprompt.spiking.activity import Activity

# Joules are sums of products of positive doubles. A count below 2^53 is exact; the price's decimal, its product and the
# sum (fsum) round once each: a result is within (1 + u)^3 of the true one, u = 2^-53. Of two results that share their
# prices, each rounds twice, and adding them rounds once more: 5 u apart at most. 6 u holds both.
CLOSE = 6 * 2.0**-53


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
    counts = events(Activity(3, 5, 10, 3, 7, synops_graded=2, synops_dense=50, reads=8, writes=9, states=20))
    assert counts == {
        "spikes": 3,
        "synops": 3,
        "synops_graded": 2,
        "updates_active": 3,
        "updates_inactive": 7,
        "macs": 7,
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
    assert spent.joules == pytest.approx(21_998_592e-12, rel=CLOSE)
    assert {t.event: t.count for t in spent.terms} == {
        "spikes": 92160,
        "updates_active": 92160,
        "updates_inactive": 276480,
    }


@pytest.mark.parametrize(("name", "millijoules"), [("horowitz-45nm-fp32", 80.96), ("horowitz-45nm-int8", 4.048)])
def test_a_vit_base_by_hand(name: str, millijoules: float) -> None:
    # 17.6e9 x 4.6 pJ = 80.96 mJ; 17.6e9 x 0.23 pJ = 4.048 mJ
    spent = estimate(Activity(macs=17_600_000_000), Prices.named(name))
    assert spent.joules == pytest.approx(millijoules * 1e-3, rel=CLOSE)


@given(activities())
def test_the_estimate_is_the_exact_sum(activity: Activity) -> None:
    exact = by_hand(activity) / 10**12
    got = Fraction(estimate(activity, Prices.named("loihi")).joules)
    assert abs(got - exact) <= Fraction(CLOSE) * exact


@given(activities(), activities())
def test_the_estimate_is_linear(a: Activity, b: Activity) -> None:
    loihi = Prices.named("loihi")
    apart = estimate(a, loihi).joules + estimate(b, loihi).joules
    assert math.isclose(estimate(a + b, loihi).joules, apart, rel_tol=CLOSE, abs_tol=0)


def test_nothing_costs_nothing() -> None:
    assert estimate(Activity(), Prices.named("loihi")).joules == 0
    assert estimate(Activity(), Prices.named("loihi")).terms == ()


def test_an_unpriced_term_is_refused_by_name_and_the_fix_is_a_list_that_has_it() -> None:
    with pytest.raises(Unpriced) as error:
        estimate(Activity(synops=9, updates=8, updates_active=3), Prices.named("horowitz-45nm-fp32"))
    said = str(error.value)
    assert "3 updates_active, 5 updates_inactive without a price in 'horowitz-45nm-fp32'" in said
    able = "horowitz-45nm-fp32-memory, horowitz-45nm-int8-memory, keras-spiking-loihi, loihi, odin, spinnaker"
    assert all(name in said.rsplit(":", 1)[1] for name in able.split(", "))
    assert "darwin3" not in said
    assert "9 synops" not in said


def test_an_unpriced_term_that_was_not_counted_does_no_harm() -> None:
    spent = estimate(Activity(synops=10), Prices.named("horowitz-45nm-fp32"))
    assert spent.joules == pytest.approx(9e-12, rel=CLOSE)


def test_no_line_is_given_where_one_is_unpriced() -> None:
    with pytest.raises(Unpriced, match=r"7 macs .* 'loihi'"):
        energy(Activity(updates=4, macs=7), Activity(macs=5), baked=True)
    with pytest.raises(Unpriced, match=r"5 macs .* 'loihi'"):
        energy(Activity(updates=4), Activity(macs=5), backbone_prices="loihi", baked=True)


def test_an_unknown_list_names_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"loihi2.*horowitz-45nm-fp32,.* loihi,"):
        energy(Activity(), Activity(), generator_prices="loihi2", baked=True)


GENERATOR, BACKBONE = Activity(spikes=10, updates=30, updates_active=10), Activity(macs=1000)
MADE = (17 + 810 + 1040) * 1e-12
RAN = 4600e-12


def test_a_baked_generator_is_paid_once_and_never_again() -> None:
    report = energy(GENERATOR, BACKBONE, baked=True)
    generator, backbone, total = report["generator"], report["backbone"], report["total"]
    assert generator["joules"] == generator["joules_per_deployment"] == pytest.approx(MADE, rel=CLOSE)
    assert generator["joules_per_image"] == 0
    assert backbone["joules"] == backbone["joules_per_image"] == pytest.approx(RAN, rel=CLOSE)
    assert backbone["joules_per_deployment"] == 0
    assert total["joules"] == pytest.approx(MADE + RAN, rel=CLOSE)
    assert total["joules_per_image"] == backbone["joules"]
    assert total["joules_per_deployment"] == generator["joules"]
    assert total["share_generator"] == pytest.approx(1867 / 6467, rel=4 * CLOSE)
    assert total["share_generator_per_image"] == 0


def test_a_generator_that_is_not_baked_is_paid_for_every_image() -> None:
    total = energy(GENERATOR, BACKBONE, baked=False)["total"]
    assert total["joules_per_image"] == total["joules"] == pytest.approx(MADE + RAN, rel=CLOSE)
    assert total["joules_per_deployment"] == 0
    assert total["share_generator_per_image"] == total["share_generator"] > 0


def test_the_report_is_json_and_says_what_it_is() -> None:
    report = energy(GENERATOR, BACKBONE, baked=True)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["note"] == report["total"]["note"] == NOTE == "Estimated, not measured"
    for part, name in (("generator", "loihi"), ("backbone", "horowitz-45nm-fp32")):
        line = report[part]
        assert line["prices"] == name
        assert line["scope"] == "per term"
        assert line["evidence"] == Prices.named(name).evidence
        assert line["leaves_out"] == Prices.named(name).leaves_out
        assert math.fsum(term["joules"] for term in line["terms"]) == line["joules"]
        assert all(term["source"] for term in line["terms"])
    assert report["generator"]["counts"] == GENERATOR.json()


def test_the_share_of_nothing_is_not_a_number_and_not_given() -> None:
    total = energy(Activity(), Activity(), baked=True)["total"]
    assert total["joules"] == 0
    assert total["share_generator"] is None
    assert total["share_generator_per_image"] is None


def test_an_all_in_price_holds_the_events_beside_it() -> None:
    spent = estimate(Activity(spikes=3, synops=10, updates=20, updates_active=3), AllIn())
    assert spent.joules == pytest.approx(260e-12, rel=CLOSE)
    assert list(spent.range) == pytest.approx([130e-12, 260e-12], rel=CLOSE)
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
    assert paid.joules == pytest.approx((0.3 + 12.8 + 25 + 80) * 1e-12, rel=CLOSE)
    assert paid.range[0] == pytest.approx((0.3 + 0.4 + 12.5 + 40) * 1e-12, rel=CLOSE)
    assert paid.range[1] == pytest.approx((0.3 + 12.8 + 125 + 400) * 1e-12, rel=CLOSE)
    assert "10 reads" in not_priced(energy(activity, BACKBONE, baked=True))[0]


def test_a_measured_power_needs_the_seconds_of_a_run_on_that_chip() -> None:
    with pytest.raises(Unpriced, match=r"'speck' is a measured power.*--seconds"):
        energy(GENERATOR, BACKBONE, "speck", baked=True)
    spent = estimate(GENERATOR, Prices.named("speck"), seconds=0.01)
    assert spent.joules == pytest.approx(7e-6, rel=CLOSE)
    assert list(spent.range) == pytest.approx([4.2e-6, 7e-6], rel=CLOSE)
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


def test_an_all_in_price_is_not_added_to_prices_per_term() -> None:
    report = energy(Activity(synops=10, updates=20), BACKBONE, generator_prices=AllIn(), baked=False)
    assert report["generator"]["joules"] > 0
    assert report["backbone"]["joules"] > 0
    figures: dict[str, Any] = {k: v for k, v in report["total"].items() if k.startswith(("joules", "share"))}
    assert len(figures) == 5
    assert set(figures.values()) == {None}
    assert "all-in" in report["total"]["note"]
    assert rows(report)[2][-3:] == ("-", "-", "")
