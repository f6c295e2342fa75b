"""A search for wide weights is done once: an equal one reads it, and any other, or a damaged file, searches again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest

from neuroprompt.compiler import compile as compiling
from neuroprompt.compiler import kept
from neuroprompt.compiler.compile import model_of_items
from neuroprompt.contracts.wide import Wide
from neuroprompt.progress import Progress
from neuroprompt.spiking.program import SpikingModel

STEPS, LINES = 12, 6


def items(seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return (np.random.default_rng(seed).random((2, STEPS, LINES)) < 0.4).astype(float)


def graph(threshold: float = 1.0) -> nir.NIRGraph:
    rng, ones = np.random.default_rng(0), np.ones(5)
    nodes = (
        nir.Affine(rng.normal(0.1, 0.4, (5, LINES)), rng.normal(0, 0.1, 5)),
        nir.LIF(tau=ones * 4e-4, r=ones * 4, v_leak=0 * ones, v_threshold=ones * threshold, v_reset=0 * ones),
    )
    return nir.NIRGraph.from_list(*nodes)


class Said(Progress):
    """What a search says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def fit(threshold: float = 1.0, seed: int = 0, wide: Wide | None = None) -> tuple[SpikingModel, bool]:
    """The model, and whether it was kept before."""
    said = Said()
    model = model_of_items(graph(threshold), items(seed), wide=wide or Wide(), progress=said)
    return model, "the integers are those of an equal search before" in said.lines


def test_an_equal_search_is_read_and_any_other_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    first, before = fit()
    assert not before
    for changed in ({"threshold": 1.01}, {"seed": 1}, {"wide": Wide(12)}, {"wide": Wide(agreement=0.9)}):
        assert not fit(**changed)[1]
    monkeypatch.setattr(compiling, "quantise", None)  # nothing is searched from here on
    second, before = fit()
    assert before
    assert second.fixed_program.to_bytes() == first.fixed_program.to_bytes()
    assert second.float_program.to_bytes() == first.float_program.to_bytes()
    assert second.scale_report == first.scale_report


@pytest.mark.parametrize("damage", [b"", b"{}", b"[" * 100_000, b"\x00\xff"])
@pytest.mark.parametrize("ending", [".npz", ".json"])
def test_a_damaged_file_is_searched_for_again(damage: bytes, ending: str) -> None:
    first, _ = fit()
    (file,) = kept.folder().glob(f"*{ending}")
    file.write_bytes(damage)
    again, before = fit()
    assert not before
    assert again.fixed_program.to_bytes() == first.fixed_program.to_bytes()
    assert fit()[1]


@pytest.mark.parametrize("key", ["populations", "projections", "spike_match"])
def test_a_report_of_other_values_is_searched_for_again(key: str) -> None:
    first, _ = fit()
    (file,) = kept.folder().glob("*.json")
    about = json.loads(file.read_text())
    about["report"][key] = {"x": 1}
    file.write_text(json.dumps(about))
    again, before = fit()
    assert not before
    assert again.scale_report == first.scale_report


def test_other_code_and_another_number_of_runs_search_again(monkeypatch: pytest.MonkeyPatch) -> None:
    program, rows = fit()[0].float_program, items().reshape(-1, LINES)
    search = kept.Search(program, rows, (("runs", 2),))
    names = {search.name, replace(search, options=(("runs", 1),)).name, replace(search, inputs=rows[:-1]).name}
    monkeypatch.setattr(kept, "_code", lambda: "other")
    assert len({*names, search.name}) == 4


def test_the_oldest_goes_and_a_place_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST", 2)
    for seed in range(4):
        fit(seed=seed)
    assert len(list(kept.folder().glob("*.json"))) == 2
    assert len(list(kept.folder().glob("*.npz"))) == 2
    (tmp_path / "file").touch()
    monkeypatch.setattr(kept, "folder", lambda: tmp_path / "file" / "integers")
    assert not fit()[1]
    assert not fit()[1]
