"""What examples/fidelity_table.py shows: the page has its tables, and its emulator is the chip or float at its ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nir
import numpy as np
import pytest
from fidelity_limits import LIMITS, Lifted, float_behind_the_chip
from fidelity_peers import CannotTake, lava_dl, nengo_loihi, nir_paper
from fidelity_table import LIFTED, Row, complete, limits_table, load, save, table
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_graph

from neuroprompt.compiler.compile import model_of_items
from neuroprompt.compiler.lower import lower
from neuroprompt.contracts.wide import Wide
from neuroprompt.loihi.arithmetic import simulate

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "examples" / "fidelity.json"
PAGE = ROOT / "docs" / "explain" / "fidelity.md"


def test_the_page_has_the_tables_of_the_results() -> None:
    rows, page = load(RESULTS), PAGE.read_text()
    assert table(rows) in page
    assert limits_table(rows) in page


@given(seed=st.integers(0, 2**31), numbers=st.booleans(), wide=st.booleans())
@settings(max_examples=6)
def test_with_no_limit_lifted_it_is_the_chip(*, seed: int, numbers: bool, wide: bool) -> None:
    graph, rng = random_graph(seed, portable=True), np.random.default_rng(seed)
    drawn = rng.random((2, 20, lower(graph, 20).inputs))
    items = drawn if numbers else (drawn < 0.4).astype(float)
    model = model_of_items(graph, items, wide=Wide() if wide else None)
    if model.quantisation_error is not None:
        return
    right = simulate(model.fixed_program, items)
    for name, fired in Lifted(model).run(items).items():
        assert np.array_equal(fired, right[name].spikes)


def test_with_all_limits_lifted_it_is_float() -> None:
    """Inputs on which no potential comes near a threshold's rounding, 2^-40 of it."""
    rng, ones = np.random.default_rng(0), np.ones(8)
    lif = nir.LIF(tau=ones * 5e-4, r=ones * 5, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    graph = nir.NIRGraph.from_list(nir.Linear(rng.normal(0.1, 0.5, (8, 12))), lif)
    items = (rng.random((4, 50, 12)) < 0.3).astype(float)
    model = model_of_items(graph, items)
    (wanted,) = simulate(model.float_program, items).values()
    ours = Lifted(model, LIMITS).run(items)
    assert wanted.spikes.sum() > 100
    assert np.array_equal(next(iter(ours.values())), wanted.spikes)


def test_a_peer_says_what_it_does_not_take() -> None:
    ones = np.ones(2)
    graph = nir.NIRGraph.from_list(nir.Affine(np.ones((2, 3)), ones), nir.IF(ones, ones, 0 * ones))
    program, spikes = lower(graph, 4), np.ones((1, 4, 3))
    for peer in (lava_dl, nengo_loihi, nir_paper):
        with pytest.raises(CannotTake, match="numbers on its input lines"):
            peer(program, spikes / 2)
    with pytest.raises(CannotTake, match="biases"):
        nir_paper(program, spikes)


def test_rows_are_saved_whole_and_read_back(tmp_path: Path) -> None:
    rows = [
        Row("a net", "float", (1.0,), 0.5, 10),
        Row("a net", "auto", (0.25, 1.0), 0.5, 10, 7, 0.1, 0, 0),
        Row("a net", f"{LIFTED}ends", (1.0, 1.0), 0.5, 10),
        Row("a net", "a peer", why_not="does not take numbers"),
    ]
    save(rows, tmp_path / "rows.json")
    assert load(tmp_path / "rows.json") == rows
    assert load(tmp_path / "none.json") == []
    lines = table(rows).splitlines()[2:]
    assert lines == [
        "| a net | float | 1 | 50.00% |  |  |",
        "|  | auto | .2500 1 | 50.00% | 7 | 0.1 s |",
        "|  | a peer | does not take numbers |  |  |  |",
    ]


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Rows that are there are not made again, but where the net is another one."""
    out, made, broken = tmp_path / "rows.json", list[str](), {"auto"}
    other = Row("another net", "float", (1.0,), 0.9, 10)
    save([other], out)

    def cells(accuracy: float) -> dict[str, Callable[[], Row]]:
        def cell(way: str) -> Row:
            if way in broken:
                raise KeyboardInterrupt
            made.append(way)
            return Row("a net", way, (1.0,), accuracy, 10)

        return {way: partial(cell, way) for way in ("float", "8 bits", "auto", "a peer")}

    with pytest.raises(KeyboardInterrupt):
        complete("a net", cells(0.5), out)
    assert [each.way for each in load(out)] == ["float", "float", "8 bits"]
    broken.clear()
    made.clear()
    rows = complete("a net", cells(0.5), out)
    assert made == ["float", "auto", "a peer"]
    assert [each.way for each in rows] == ["float", "8 bits", "auto", "a peer"]
    assert load(out) == [other, *rows]
    made.clear()
    assert {each.accuracy for each in complete("a net", cells(0.6), out)} == {0.6}
    assert made == ["float", "8 bits", "auto", "a peer"]
    save([each for each in load(out) if each.way != "8 bits"], out)
    assert [each.way for each in complete("a net", cells(0.6), out)] == ["float", "8 bits", "auto", "a peer"]


def test_what_a_layer_inherits_is_float_behind_the_chips_spikes() -> None:
    rng, ones = np.random.default_rng(2), np.ones(10)
    neurons = nir.IF(r=ones, v_threshold=ones, v_reset=0 * ones)
    first, second = rng.normal(0.1, 0.6, (10, 12)), rng.normal(0.1, 0.6, (10, 10))
    items = (rng.random((3, 80, 12)) < 0.4).astype(float)
    model = model_of_items(nir.NIRGraph.from_list(nir.Linear(first), neurons, nir.Linear(second), neurons), items)
    chip = [trace.spikes for trace in simulate(model.fixed_program, items).values()]
    wanted = [trace.spikes for trace in simulate(model.float_program, items).values()]
    ours = list(float_behind_the_chip(model, items).values())
    alone = lower(nir.NIRGraph.from_list(nir.Linear(second), neurons), 80)
    (behind,) = simulate(alone, chip[0].astype(float)).values()
    assert np.array_equal(ours[0], wanted[0])
    assert np.array_equal(ours[1], behind.spikes)
    assert not np.array_equal(ours[1], wanted[1])


@pytest.mark.slow
def test_the_dense_net_reaches_the_goals(tmp_path: Path) -> None:
    script = ROOT / "examples" / "fidelity_table.py"
    command = [sys.executable, str(script), "dense", "--out", str(tmp_path / "rows.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["way"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert min(rows["auto"]["jaccard"]) >= 0.95
    assert abs(rows["auto"]["accuracy"] - rows["float"]["accuracy"]) <= 0.005  # two of 450 images
    assert rows["auto"]["jaccard"] > rows["8 bits"]["jaccard"]
