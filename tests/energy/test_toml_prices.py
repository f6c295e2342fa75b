"""Price lists of a user's own, in TOML: what they give, and the one line that a wrong one gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from float_bounds import near

from neuroprompt.energy.estimate import estimate
from neuroprompt.energy.toml_prices import price_lists, read_prices
from neuroprompt.errors import BadSetting, UnknownName
from neuroprompt.spiking.activity import Activity

GOOD = """
title = "A chip of ours"
scope = "per term"
evidence = "datasheet"
technology = "22 nm"
voltage = "0.8 V"
leaves_out = "everything but the core"

[prices.synops]
value = 2
unit = "pJ"
low = 1.5
high = 4
source = "data sheet, 2026, Table 3"

[prices.updates_active]
value = 0.05
unit = "nJ"
source = "data sheet, 2026, Table 4"

[includes]
updates_inactive = "an idle neuron takes nothing, says Section 2"
spikes = "Table 4: firing included"
"""

HEAD = GOOD.partition("[prices.synops]")[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "ours.toml").write_text(GOOD)
    return tmp_path / "ours.toml"


def test_a_list_of_ones_own(file: Path) -> None:
    prices = read_prices(file)
    assert (prices.name, prices.title, prices.evidence) == ("ours", "A chip of ours", "datasheet")
    spent = estimate(Activity(spikes=2, synops=100, updates=10, updates_active=2), prices)
    assert spent.joules == near(300e-12)
    assert list(spent.range) == near([250e-12, 500e-12])
    assert set(spent.included) == {"spikes", "updates_inactive"}
    assert spent.json()["prices"] == "ours"


def test_names_files_and_folders_may_be_mixed(file: Path) -> None:
    (file.parent / "more").mkdir()
    (file.parent / "more" / "b.toml").write_text(GOOD)
    (file.parent / "more" / "a.toml").write_text(GOOD)
    found = price_lists(["loihi", str(file), str(file.parent / "more")])
    assert [prices.name for prices in found] == ["loihi", "ours", "a", "b"]


def test_a_measured_power(file: Path) -> None:
    text = HEAD + '[watts]\nvalue = 5\nunit = "mW"\nsource = "measured, 2026"\n'
    file.write_text(text)
    assert estimate(Activity(synops=1), read_prices(file), seconds=2.0).joules == near(0.01)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('unit = "pJ"\n', "", "prices.synops has no unit"),
        ('unit = "pJ"', 'unit = "kWh"', "'kWh'"),
        ("value = 2\n", "", "prices.synops has no value"),
        ("value = 2\n", "value = -2\n", "-2"),
        ("value = 2\n", "value = nan\n", "nan"),
        ("value = 2\n", 'value = "2"\n', "'2'"),
        ("value = 2\n", "value = true\n", "True"),
        ("low = 1.5", "low = 3", "outside its range"),
        ("[prices.synops]", "[prices.synop]", "'synop'"),
        ("spikes = ", "spike = ", "'spike'"),
        ('spikes = "Table 4: firing included"', "spikes = true", "spikes = True"),
        ('source = "data sheet, 2026, Table 3"', "", "source is missing"),
        ('voltage = "0.8 V"', "", "voltage is missing"),
        ('title = "A chip of ours"', "title = 5", "title = 5"),
        ('scope = "per term"', 'scope = "whole"', "'whole'"),
        ('evidence = "datasheet"', 'evidence = "guess"', "'guess'"),
        ("[includes]", "[include]", "include"),
        ("[prices.synops]", "[[prices.synops]]", "without a unit"),
        ("[prices.synops]", "prices.synops = 5\n[prices.extra]", ""),
        ("title", "title = =", "cannot be read"),
    ],
)
def test_a_wrong_list_gets_one_line(old: str, new: str, said: str, file: Path) -> None:
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BadSetting) as error:
        price_lists([str(file)])
    assert said in str(error.value)
    assert "ours.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_list_at_all(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    for word in ("bytes.toml", "nowhere.toml"):
        with pytest.raises(BadSetting, match="cannot be read"):
            price_lists([str(tmp_path / word)])
    (tmp_path / "empty.toml").write_text(HEAD)
    with pytest.raises(BadSetting, match="prices nothing"):
        price_lists([str(tmp_path / "empty.toml")])
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadSetting, match="holds no price list"):
        price_lists([str(tmp_path / "folder")])
    with pytest.raises(UnknownName, match="loihi-2"):
        price_lists(["loihi-2"])
    with pytest.raises(BadSetting, match="'loihi' twice"):
        price_lists(["loihi", "loihi"])


def test_the_documentations_example_is_a_list(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "prices.md").read_text()
    (tmp_path / "mine.toml").write_text(page.split("```toml\n")[1].partition("```")[0])
    activity = Activity(spikes=1, synops=10, updates=4, updates_active=1)
    assert estimate(activity, read_prices(tmp_path / "mine.toml")).joules == near(160e-12)
