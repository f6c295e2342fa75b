"""The verb in Python: what is counted of a NIR graph, and one list or several for it."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from neuroprompt.energy.energy import count, energy, energy_by_list
from neuroprompt.errors import BadBundle, BadSetting, UnknownName

STEPS = 20


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six lines to four IF neurons."""
    file = tmp_path_factory.mktemp("graph") / "a.nir"
    parts = {
        "input": nir.Input(np.array([6])),
        "w": nir.Linear(np.ones((4, 6))),
        "if": nir.IF(r=np.ones(4), v_threshold=np.full(4, 2.5), v_reset=np.zeros(4)),
        "output": nir.Output(np.array([4])),
    }
    nir.write(file, nir.NIRGraph(parts, [("input", "w"), ("w", "if"), ("if", "output")]))
    return file


def test_a_graph_is_all_generator_and_runs_for_every_image(graph: Path) -> None:
    counts = count(graph, steps=STEPS)
    assert counts.generator.updates == 4 * STEPS
    assert counts.backbone.macs == 0
    assert not counts.baked
    estimate = energy(counts)
    assert estimate.total.joules_per_image == estimate.generator.joules > 0
    assert estimate.counts is counts
    assert estimate.counts.break_even is not None


def test_one_list_alone_is_the_same_as_beside_others(graph: Path) -> None:
    counts = count(graph, steps=STEPS)
    alone = energy(counts, "keras-spiking-loihi")
    several = energy_by_list(counts, ["loihi", "keras-spiking-loihi"])
    assert [line.prices.name for line in several.generator] == ["loihi", "keras-spiking-loihi"]
    assert several.generator[1].json() == alone.generator.json()


def test_spikes_of_a_file_are_counted_line_by_line(graph: Path, tmp_path: Path) -> None:
    inputs = np.zeros((STEPS, 6))
    inputs[3, :2] = 1
    np.save(tmp_path / "spikes.npy", inputs)
    assert count(graph, stimulus=str(tmp_path / "spikes.npy")).generator.synops == 2 * 4


def test_what_cannot_be_counted(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="a graph has no backbone"):
        count(graph, steps=STEPS, measure=True)
    with pytest.raises(BadBundle):
        count(tmp_path)
    with pytest.raises(UnknownName, match="loihi2"):
        energy(count(graph, steps=STEPS), "loihi2")
