"""Tables on a narrow terminal: whatever they hold fits, and no name or number is cut in two."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from neuroprompt.cli._output import plain
from neuroprompt.cli._table import chunks, fitting_table, wrapped
from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.comparison import compare_prices
from neuroprompt.energy.lines import three_lines
from neuroprompt.energy.tables import COLUMNS, TITLE, comparison, rows
from neuroprompt.energy.toml_prices import price_lists
from neuroprompt.errors import Unpriced
from neuroprompt.spiking.activity import Activity

WIDTH = 80
GENERATOR = Activity(spikes=10_149, synops=92_160, updates=368_640, updates_active=10_149, reads=92_160, states=737_280)
BACKBONE = Activity(macs=17_600_000_000, reads=300_000_000, writes=2_000_000)

words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=9)
names = st.lists(words, min_size=1, max_size=4).map("-".join)
lines = st.lists(names, max_size=5).map(" ".join)


def shown(title: str, columns: tuple[str, ...], cells: list[tuple[str, ...]]) -> list[str]:
    """The table's lines on a terminal of WIDTH characters, as `emit` prints them."""
    out = io.StringIO()
    Console(file=out, width=WIDTH).print(fitting_table(title, columns, cells))
    return out.getvalue().splitlines()


def columns_of(lines: list[str]) -> list[str]:
    """Each column's text from top to bottom, a space where a line ends that no hyphen ends."""
    cells = [re.split("[│┃]", line)[1:-1] for line in lines if line[:1] in ("│", "┃")]
    joined = [" ".join(cell.strip() for cell in column) for column in zip(*cells, strict=True)]
    return [re.sub(r"- +", "-", text) for text in joined]


@pytest.mark.parametrize("name", Prices.names())
def test_the_table_of_every_price_list_fits_and_holds_its_name_whole(name: str) -> None:
    prices = Prices.named(name)
    try:
        table = comparison(compare_prices(GENERATOR, BACKBONE, [prices], baked=True, seconds=0.01))
    except Unpriced:  # darwin3 has no price for updates
        table = rows(three_lines(Activity(synops=92_160), Activity(), prices, prices, baked=True))
    printed = shown(TITLE, COLUMNS, table)
    assert max(map(len, printed)) <= WIDTH
    assert name in columns_of(printed)[COLUMNS.index("prices")]
    for word in (*COLUMNS, prices.scope, prices.evidence):
        assert any(word in text for text in columns_of(printed))


def test_all_price_lists_side_by_side_fit() -> None:
    result = compare_prices(GENERATOR, BACKBONE, price_lists(Prices.names()), baked=True, seconds=0.01)
    printed = shown(TITLE, COLUMNS, comparison(result))
    assert max(map(len, printed)) <= WIDTH
    priced = {line.prices.name for lines in result.parts().values() for line in lines}
    assert len(priced) > 10
    assert all(name in columns_of(printed)[1] for name in priced)


def test_columns_that_do_not_fit_follow_below_beside_the_first() -> None:
    heads = ("node", *(f"column{i}" for i in range(12)))
    printed = shown("many", heads, [("lif0", *("1,234,567" for _ in range(12)))])
    assert max(map(len, printed)) <= WIDTH
    assert sum("lif0" in line for line in printed) == sum("node" in line for line in printed) > 1
    assert sum(line.count("1,234,567") for line in printed) == 12


@given(lines, st.integers(1, 40))
def test_lines_break_between_chunks_and_lose_nothing(text: str, width: int) -> None:
    assert "".join(chunks(text)) == text
    broken = wrapped(text, width).split("\n")
    assert all(len(line) <= width for line in broken)
    assert re.sub(r"\s", "", "".join(broken)) == re.sub(r"\s", "", text)
    if all(len(chunk.rstrip()) <= width for chunk in chunks(text)):
        assert {line.strip() for line in broken} <= {
            "".join(chunks(text)[i:j]).strip()
            for i in range(len(chunks(text)) + 1)
            for j in range(len(chunks(text)) + 1)
        }


@pytest.mark.parametrize("text", ["1.5e-06", "-3.2", "1,234,567", "97.1%", "1.91 µJ", "vit_base_patch16_224"])
def test_a_number_with_its_unit_and_a_name_are_one_chunk(text: str) -> None:
    assert chunks(text) == [text]


@pytest.mark.parametrize("width", [20, 40, 80])
@given(cells=st.lists(st.tuples(names, lines, lines), min_size=1, max_size=4))
def test_any_table_fits(width: int, cells: list[tuple[str, ...]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        out = io.StringIO()
        Console(file=out, width=width).print(fitting_table("t", ("name", "a b", "c"), cells))
    assert max(map(len, out.getvalue().splitlines())) <= width


def test_a_sha256_is_printed_by_its_first_digits() -> None:
    assert plain("0123456789abcdef" * 4) == "0123456789abcdef..."
    assert plain("0123456789abcdef") == "0123456789abcdef"
