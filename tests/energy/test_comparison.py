"""Several price lists side by side."""

from __future__ import annotations

import json

import pytest

from neuroprompt.energy.comparison import compare_prices
from neuroprompt.energy.estimate import NOTE, energy
from neuroprompt.energy.tables import COLUMNS, comparison, left_out, refused
from neuroprompt.energy.toml_prices import price_lists
from neuroprompt.errors import Unpriced
from neuroprompt.spiking.activity import Activity

GENERATOR = Activity(spikes=10, synops=40, updates=30, updates_active=10, reads=40, states=60)
BACKBONE = Activity(macs=1000, reads=300, writes=20)


def test_each_list_prices_what_it_can_and_is_the_same_as_alone() -> None:
    lists = price_lists(["loihi", "truenorth", "darwin3", "horowitz-45nm-fp32", "horowitz-45nm-int8-memory"])
    found = compare_prices(GENERATOR, BACKBONE, lists, baked=True)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [line["prices"] for line in found["generator"]] == ["loihi", "truenorth", "horowitz-45nm-int8-memory"]
    assert [line["prices"] for line in found["backbone"]] == ["horowitz-45nm-fp32", "horowitz-45nm-int8-memory"]
    alone = energy(GENERATOR, BACKBONE, "loihi", "horowitz-45nm-fp32", baked=True)
    assert (found["generator"][0], found["backbone"][0]) == (alone["generator"], alone["backbone"])
    first = next(t for t in found["totals"] if (t["generator"], t["backbone"]) == ("loihi", "horowitz-45nm-fp32"))
    assert alone["total"].items() <= first.items()
    assert "truenorth" not in {t["generator"] for t in found["totals"]}, "an all-in price is added to none per term"
    assert {line["note"] for part in ("generator", "backbone", "totals") for line in found[part]} == {NOTE}


def test_a_list_that_prices_nothing_is_named_with_the_term() -> None:
    found = compare_prices(GENERATOR, BACKBONE, price_lists(["loihi", "darwin3"]), baked=True)
    assert found["backbone"] == found["totals"] == []
    (line,) = refused(found)
    assert "20 updates_inactive without a price in 'darwin3'" in line
    with pytest.raises(Unpriced, match="darwin3"):
        compare_prices(GENERATOR, BACKBONE, price_lists(["darwin3"]), baked=True)


def test_the_table_has_a_row_for_each_line_and_few_totals() -> None:
    two = compare_prices(GENERATOR, BACKBONE, price_lists(["loihi", "horowitz-45nm-fp32"]), baked=True)
    assert [row[0] for row in comparison(two)] == ["generator", "backbone", "total"]
    many = [*(f"horowitz-45nm-{kind}-memory" for kind in ("fp32", "fp16", "int8")), "loihi"]
    found = compare_prices(GENERATOR, BACKBONE, price_lists(many), baked=True)
    assert len(found["totals"]) == 12
    assert {row[0] for row in comparison(found)} == {"generator", "backbone"}
    assert {len(row) for row in comparison(found)} == {len(COLUMNS)}
    assert len(left_out(found)) == 7


def test_a_part_that_did_nothing_has_no_line() -> None:
    found = compare_prices(Activity(), BACKBONE, price_lists(["horowitz-45nm-int8"]), baked=True)
    assert found["generator"] == []
    assert found["refused"] == []
    assert len(found["backbone"]) == 1
