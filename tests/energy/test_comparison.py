"""Several price lists side by side."""

from __future__ import annotations

import json

import pytest

from neuroprompt.energy.comparison import PriceComparison, compare_prices
from neuroprompt.energy.estimate import NOTE
from neuroprompt.energy.lines import three_lines
from neuroprompt.energy.tables import COLUMNS, comparison, left_out, refused
from neuroprompt.energy.toml_prices import price_lists
from neuroprompt.errors import Unpriced
from neuroprompt.spiking.activity import Activity

GENERATOR = Activity(spikes=10, synops=40, updates=30, updates_active=10, reads=40, states=60)
BACKBONE = Activity(macs=1000, reads=300, writes=20)


def compared(*names: str, generator: Activity = GENERATOR) -> PriceComparison:
    return compare_prices(generator, BACKBONE, price_lists(names), baked=True)


def test_each_list_prices_what_it_can_and_is_the_same_as_alone() -> None:
    result = compared("loihi", "truenorth", "darwin3", "horowitz-45nm-fp32", "horowitz-45nm-int8-memory")
    assert [line.prices.name for line in result.generator] == ["loihi", "truenorth", "horowitz-45nm-int8-memory"]
    assert [line.prices.name for line in result.backbone] == ["horowitz-45nm-fp32", "horowitz-45nm-int8-memory"]
    alone = three_lines(GENERATOR, BACKBONE, "loihi", "horowitz-45nm-fp32", baked=True)
    assert result.generator[0].json() == alone.generator.json()
    assert result.backbone[0].json() == alone.backbone.json()
    first = next(t for t in result.totals if t.generator.prices.name == "loihi")
    assert first.json() == alone.total.json()
    assert "truenorth" not in {t.generator.prices.name for t in result.totals}, "an all-in price is added to no other"


def test_the_json_has_the_keys_that_it_always_had() -> None:
    values = json.loads(json.dumps(compared("loihi", "darwin3", "horowitz-45nm-fp32").json(), allow_nan=False))
    assert set(values) == {"generator", "backbone", "totals", "refused", "baked", "note"}
    assert {line["note"] for part in ("generator", "backbone", "totals") for line in values[part]} == {NOTE}
    assert (values["totals"][0]["generator"], values["totals"][0]["backbone"]) == ("loihi", "horowitz-45nm-fp32")
    assert all(set(why) == {"part", "prices", "reason"} for why in values["refused"])


def test_a_list_that_prices_nothing_is_named_with_the_term() -> None:
    result = compared("loihi", "darwin3")
    assert not result.backbone
    assert not result.totals
    (line,) = refused(result)
    assert "20 updates_inactive without a price in 'darwin3'" in line
    with pytest.raises(Unpriced, match="darwin3"):
        compared("darwin3")


def test_the_table_has_a_row_for_each_line_and_few_totals() -> None:
    assert [row[0] for row in comparison(compared("loihi", "horowitz-45nm-fp32"))] == ["generator", "backbone", "total"]
    result = compared(*(f"horowitz-45nm-{kind}-memory" for kind in ("fp32", "fp16", "int8")), "loihi")
    assert len(result.totals) == 12
    assert {row[0] for row in comparison(result)} == {"generator", "backbone"}
    assert {len(row) for row in comparison(result)} == {len(COLUMNS)}
    assert len(left_out(result)) == 7


def test_a_part_that_did_nothing_has_no_line() -> None:
    result = compared("horowitz-45nm-int8", generator=Activity())
    assert not result.generator
    assert not result.refused
    assert len(result.backbone) == 1
