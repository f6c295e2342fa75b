"""The three lines: how often each is paid, which sums have a meaning, and the JSON that scripts rely on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import ClassVar

import pytest
from float_bounds import near

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.energy.estimate import NOTE
from neuroprompt.energy.lines import three_lines
from neuroprompt.energy.tables import rows
from neuroprompt.errors import UnknownName, Unpriced
from neuroprompt.spiking.activity import Activity

GENERATOR, BACKBONE = Activity(spikes=10, updates=30, updates_active=10), Activity(macs=1000)
MADE = (17 + 810 + 1040) * 1e-12
RAN = 4600e-12
CLOSE = 6 * 2.0**-53
"""A sum of products of positive doubles (tests/energy/test_estimate.py)."""


class AllIn(Prices):
    """A list whose one price includes everything beside it."""

    name = "all-in-example"
    title = "an all-in list"
    scope = "all-in"
    evidence = "measured"
    technology = "28 nm"
    voltage = "1 V"
    leaves_out = "nothing"
    prices: ClassVar[Mapping[str, Price]] = {"synops": Price(26e-12, "An example, 2014, Table 1")}
    includes: ClassVar[Mapping[str, str]] = {"updates_active": "the whole chip", "updates_inactive": "the whole chip"}


def test_no_line_is_given_where_one_is_unpriced() -> None:
    with pytest.raises(Unpriced, match=r"7 macs .* 'loihi'"):
        three_lines(Activity(updates=4, macs=7), Activity(macs=5), baked=True)
    with pytest.raises(Unpriced, match=r"5 macs .* 'loihi'"):
        three_lines(Activity(updates=4), Activity(macs=5), backbone_prices="loihi", baked=True)


def test_an_unknown_list_names_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"loihi2.*horowitz-45nm-fp32,.* loihi,"):
        three_lines(Activity(), Activity(), generator_prices="loihi2", baked=True)


def test_a_baked_generator_is_paid_once_and_never_again() -> None:
    estimate = three_lines(GENERATOR, BACKBONE, baked=True)
    generator, backbone, total = estimate.generator, estimate.backbone, estimate.total
    assert generator.joules == generator.joules_per_deployment == near(MADE)
    assert generator.joules_per_image == 0
    assert backbone.joules == backbone.joules_per_image == near(RAN)
    assert backbone.joules_per_deployment == 0
    assert total.joules == near(MADE + RAN)
    assert total.joules_per_image == backbone.joules
    assert total.joules_per_deployment == generator.joules
    assert total.share_generator == near(1867 / 6467, 12)
    assert total.share_generator_per_image == 0


def test_a_generator_that_is_not_baked_is_paid_for_every_image() -> None:
    total = three_lines(GENERATOR, BACKBONE, baked=False).total
    assert total.joules_per_image == total.joules == near(MADE + RAN)
    assert total.joules_per_deployment == 0
    assert total.share_generator is not None
    assert total.share_generator_per_image == total.share_generator > 0


def test_the_json_has_the_keys_that_it_always_had_and_says_what_it_is() -> None:
    estimate = three_lines(GENERATOR, BACKBONE, baked=True)
    values = json.loads(json.dumps(estimate.json(), allow_nan=False))
    assert set(values) == {"generator", "backbone", "total", "baked", "note"}
    assert values["note"] == values["total"]["note"] == NOTE == "Estimated, not measured"
    joules = {"joules", "joules_per_deployment", "joules_per_image", "range", "leaves_out", "note"}
    assert set(values["total"]) == joules | {"share_generator", "share_generator_per_image"}
    more = {
        "counts",
        "prices",
        "title",
        "scope",
        "evidence",
        "technology",
        "voltage",
        "included",
        "not_priced",
        "terms",
    }
    for part, name in (("generator", "loihi"), ("backbone", "horowitz-45nm-fp32")):
        line = values[part]
        assert set(line) == joules | more
        assert line["prices"] == name
        assert line["evidence"] == Prices.named(name).evidence
        assert line["leaves_out"] == Prices.named(name).leaves_out
        assert math.fsum(term["joules"] for term in line["terms"]) == line["joules"]
        for term in line["terms"]:
            assert set(term) == {"event", "count", "joules_each", "joules", "range", "source"}
            assert term["source"]
    assert values["generator"]["counts"] == GENERATOR.json()


def test_the_share_of_nothing_is_not_a_number_and_not_given() -> None:
    total = three_lines(Activity(), Activity(), baked=True).total
    assert total.joules == 0
    assert total.share_generator is None
    assert total.share_generator_per_image is None


def test_an_all_in_price_is_not_added_to_prices_per_term() -> None:
    estimate = three_lines(Activity(synops=10, updates=20), BACKBONE, generator_prices=AllIn(), baked=False)
    assert estimate.generator.joules > 0
    assert estimate.backbone.joules > 0
    figures = {k: v for k, v in estimate.total.json().items() if k.startswith(("joules", "share", "range"))}
    assert len(figures) == 6
    assert set(figures.values()) == {None}
    assert "all-in" in str(estimate.total.json()["note"])
    assert rows(estimate)[2][-3:] == ("-", "-", "")
