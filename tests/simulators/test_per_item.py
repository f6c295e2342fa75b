"""Counts of each item of a batch: those that counting the run by itself gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_graph

from neuroprompt.compiler.lower import lower
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.energy.count_spikes import count
from neuroprompt.errors import Unsupported
from neuroprompt.simulators.per_item import PerItem, Spread
from neuroprompt.spiking.activity import Activity
from neuroprompt.spiking.program import SpikingModel


def test_each_item_counts_what_its_run_alone_counts() -> None:
    """Graphs with delays, cycles, values and numbers as inputs; all that price lists ask for."""
    graded = 0

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.booleans())
    def check(seed: int, numbers: bool) -> None:
        nonlocal graded
        graph = random_graph(seed, portable=True)
        program, rng = lower(graph, 12), np.random.default_rng(seed)
        items = (rng.random((3, 12, program.inputs)) < 0.4).astype(float) * (2.5 if numbers else 1)
        model, target = SpikingModel(graph, program, program), SpikingTarget.named("loihi")
        try:
            batch = target.run(model, items, "float")
        except Unsupported:
            return
        activities = PerItem.joined([PerItem.of(program, batch, items)]).activities()
        for i, (activity, x) in enumerate(zip(activities, items, strict=True)):
            alone = count(program, batch.item(i), x).total.json() | {"synops_dense": 0}
            assert activity == Activity(**alone)
            graded += activity.synops_graded > 0

    check()
    assert graded > 10


def test_a_spread_is_mean_deviation_and_range() -> None:
    spread = Spread.of(np.array([1, 2, 6]))
    assert spread.json() == {"mean": 3.0, "sd": np.sqrt(14 / 3), "min": 1, "max": 6}
    assert str(spread) == "3.0 ± 2.2 (1 to 6)"
