"""What of an estimate is printed: its table, ranges, shares, and joules with their prefixes."""

from __future__ import annotations

import pytest
from float_bounds import near
from hypothesis import given
from hypothesis import strategies as st

from neuroprompt.energy.lines import three_lines
from neuroprompt.energy.tables import COLUMNS, TITLE, counted, rows, system
from neuroprompt.energy.units import si, spread
from neuroprompt.spiking.activity import Activity

GENERATOR, BACKBONE = Activity(spikes=10, updates=30, updates_active=10), Activity(macs=1000)
MADE, RAN = (17 + 810 + 1040) * 1e-12, 4600e-12
"""Joules of the two at the default prices, by hand."""


def test_the_share_of_the_whole_is_given_for_baked_and_for_every_image() -> None:
    baked, every = (system(three_lines(GENERATOR, BACKBONE, baked=baked)) for baked in (True, False))
    assert "an image costs 4.60 nJ, none of it for the generator" in baked
    assert baked.endswith("run for every image, the generator would be 1.87 nJ of 6.47 nJ an image, 28.87%")
    assert every.endswith("the generator runs for every image and takes 1.87 nJ of 6.47 nJ an image, 28.87%")


def test_a_range_is_given_where_there_is_one() -> None:
    estimate = three_lines(GENERATOR, BACKBONE, baked=True)
    assert spread(estimate.generator.range) == "1.87 to 2.45 nJ"
    assert spread(estimate.backbone.range) == ""
    assert spread((9.5e-10, 2e-9)) == "950 pJ to 2.00 nJ"
    assert estimate.total.range == near((MADE + RAN, MADE + RAN + 20 * 29e-12))


def test_the_table_has_three_rows_and_says_estimated() -> None:
    assert "estimated, not measured" in TITLE
    estimate = three_lines(GENERATOR, Activity(macs=17_600_000_000), baked=True)
    table = rows(estimate)
    assert [row[0] for row in table] == ["generator", "backbone", "total"]
    assert {len(row) for row in table} == {len(COLUMNS)}
    named = [dict(zip(COLUMNS, row, strict=True)) for row in table]
    assert named[0]["once"] == "1.87 nJ"
    assert named[0]["an image"] == "0 J"
    assert named[1]["an image"] == named[2]["an image"] == "81.0 mJ"
    assert counted(estimate)[0] == "generator, one run: 10 spikes, 30 updates, 10 updates active; 1.87 nJ"
    assert len(counted(three_lines(Activity(), Activity(macs=1), baked=True))) == 1
    assert named[1]["evidence"] == "estimated"


@pytest.mark.parametrize(
    ("joules", "text"),
    [
        (None, "-"),
        (0.0, "0 J"),
        (3e-14, "0.03 pJ"),
        (1.7e-12, "1.70 pJ"),
        (23.6e-12, "23.6 pJ"),
        (999.4e-12, "999 pJ"),
        (999.6e-12, "1.00 nJ"),
        (21.998592e-6, "22.0 µJ"),
        (9.996e-6, "10.0 µJ"),
        (0.08096, "81.0 mJ"),
        (1.0, "1.00 J"),
        (12345.0, "12,345 J"),
    ],
)
def test_joules_with_a_prefix(joules: float | None, text: str) -> None:
    assert si(joules) == text


@given(st.floats(1e-12, 900.0))
def test_a_prefix_keeps_three_digits(joules: float) -> None:
    value, unit = si(joules).split()
    back = float(value) * {"J": 1.0, "mJ": 1e-3, "µJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12}[unit]
    assert 1 <= float(value) < 1000
    # Half of the last of three digits, relative to the smallest number that has them.
    assert abs(back - joules) <= 0.005 * joules
