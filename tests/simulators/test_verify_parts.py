"""A data set verified in parts: their numbers add up to those of one run, and survive a shard's file."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sharded import graph_and_items

from neuroprompt.bundles.data_run import opened
from neuroprompt.bundles.verify_run import verify_items
from neuroprompt.errors import BadData
from neuroprompt.simulators.items import Items
from neuroprompt.simulators.verify import Verification, verify
from neuroprompt.simulators.verify_parts import joined, json_of, of_json
from neuroprompt.spiking.program import SpikingModel

Opened = tuple[SpikingModel, Items]


@pytest.fixture(scope="module")
def of_items(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """A graph with items, on some of which its integers differ from its floats."""
    model, items, _ = opened(*graph_and_items(tmp_path_factory.mktemp("items")), None, None)
    return model, items


def verified(of_items: Opened, start: int, stop: int) -> Verification:
    model, items = of_items
    assert items.labels is not None
    part = items.part(start, stop)
    return verify(model, part, ["loihi"], labels=items.labels[start:stop], first=start).untimed()


def same(one: Verification, other: Verification) -> None:
    """All that scripts get, and what is not compared by `==`."""
    assert one.json() == other.json()
    assert one.targets == other.targets
    for name, target in one.targets.items():
        its = other.targets[name]
        assert np.array_equal(target.matches.reference, its.matches.reference)
        assert target.counts is not None
        assert its.counts is not None
        assert np.array_equal(target.counts.synops, its.counts.synops)
    for name, rates in one.rates().items():
        assert np.array_equal(rates, other.rates()[name])


@settings(max_examples=6)
@given(cuts=st.sets(st.integers(1, 8)))
def test_parts_add_up_to_the_whole(cuts: set[int], of_items: Opened) -> None:
    ends = [0, *sorted(cuts), 9]
    parts = [verified(of_items, start, stop) for start, stop in pairwise(ends)]
    same(joined(parts), verified(of_items, 0, 9))
    same(joined([of_json(json.loads(json.dumps(json_of(part)))) for part in parts]), joined(parts))


def test_a_target_that_broke_in_one_part_has_failed(of_items: Opened) -> None:
    first, second = verified(of_items, 0, 4), verified(of_items, 4, 9)
    floats = {"loihi-float": second.targets["loihi-float"]}
    broken = replace(second, targets=floats, failed={"loihi-fixed": "its process died"})
    whole = joined([first, broken])
    assert (list(whole.targets), whole.failed) == (["loihi-float"], broken.failed)
    assert not whole.agrees


def test_only_the_first_part_keeps_its_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, data = graph_and_items(tmp_path)
    whole, *_ = verify_items(graph, data, None, ["loihi"])
    monkeypatch.setattr("neuroprompt.simulators.items.CELLS", 2 * 12 * 10)  # two items
    parts, *_ = verify_items(graph, data, None, ["loihi"])
    assert whole is not None
    assert parts is not None
    same(parts.untimed(), whole.untimed())
    assert len(parts.recordings["reference"].spikes["lif"]) == 2 * 10
    np.save(tmp_path / "labels.npy", np.array([*[0] * 8, 3]))
    with pytest.raises(BadData, match="the model has 3"):
        verify_items(graph, data, tmp_path / "labels.npy", ["loihi"])
