"""The reference's own way through a graph beside the compiler's: two programs by two rules, held to each other."""

from __future__ import annotations

import importlib
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_graph

from neuroprompt.compiler import flatten as compiler
from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.flatten import flatten
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.program import Program, SpikingModel
from neuroprompt.spiking.time_step import DT_SECONDS as DT

walk = importlib.import_module("neuroprompt.targets._walk").walk
WAITS = nir.Delay(np.full(2, 2 * DT))


def an_if() -> nir.IF:
    return nir.IF(r=np.ones(2), v_threshold=np.ones(2), v_reset=np.zeros(2))


def a_graph(edges: str, **nodes: Any) -> nir.NIRGraph:
    """Nodes by name, between an Input i and an Output o; edges as "a>b>c d>e"."""
    ends = {"i": nir.Input({"input": np.array([2])}), "o": nir.Output({"output": np.array([2])})}
    return nir.NIRGraph(ends | nodes, [p for way in edges.split() for p in pairwise(way.split(">"))], type_check=False)


def same_way(graph: nir.NIRGraph) -> int:
    """Both ways through `graph`, node by node; the number of edges that are a step late."""
    way, flat = walk(graph, DT), flatten(graph)
    visits, theirs = {v.name: v for v in way.visits}, {n.name: n for n in flat.nodes}
    assert set(visits) == set(theirs)
    assert set(way.inputs) == {n.name for n in flat.inputs}
    assert list(way.inputs) == [n.name for n in flat.inputs]  # whose lines stand side by side in this order
    assert set(way.readouts) == {n.name for n in flat.readouts}
    done: set[str] = set()
    late = 0
    for visit in way.visits:
        node = theirs[visit.name]
        assert done.issuperset(visit.now)
        done.add(visit.name)
        if visit.keeps:
            assert set(visit.keeps) == {source for source, _ in node.sources}
            lag = {lag for _, lag in node.sources}.pop()
            assert np.array_equal(node.delay + lag, np.rint(visit.node.delay / DT))
        else:
            assert dict.fromkeys(visit.now, 0) | dict.fromkeys(visit.before, 1) == dict(node.sources)
        late += len(visit.before)
    return late


def test_both_go_the_same_way_through_generated_graphs() -> None:
    late = graphs = 0

    @settings(max_examples=400, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def check(seed: int) -> None:
        nonlocal late, graphs
        late += same_way(random_graph(seed))
        graphs += 1

    check()
    assert graphs >= 300
    assert late >= 100


@pytest.mark.parametrize(
    ("graph", "late"),
    [
        (a_graph("i>n>o n>w>n", n=an_if(), w=nir.Linear(np.eye(2))), [("n", "w")]),
        (a_graph("i>a>u>b>o b>w>a", a=an_if(), u=WAITS, b=an_if(), w=nir.Linear(np.eye(2))), []),
        (a_graph("i>a>b>o b>a", a=an_if(), b=an_if()), [("a", "b"), ("b", "a")]),
        (a_graph("i>n>o n>n", n=an_if()), [("n", "n")]),
        # The way round that waits takes its time by itself; the other is cut where it leaves neurons.
        (a_graph("i>n>o n>d>w>n n>w", n=an_if(), d=WAITS, w=nir.Linear(np.eye(2))), [("n", "w")]),
        # A Delay by two steps of one element and none of the other lets a value through at once.
        (a_graph("i>n>o n>d>n", n=an_if(), d=nir.Delay(np.array([0, 2 * DT]))), [("n", "d")]),
        # What only leads into a circle, or out of it, is in none.
        (a_graph("i>a>n>z>o n>w>n", a=an_if(), n=an_if(), z=an_if(), w=nir.Linear(np.eye(2))), [("n", "w")]),
    ],
)
def test_circles_are_cut_where_values_leave_neurons(graph: nir.NIRGraph, late: list[tuple[str, str]]) -> None:
    assert sorted((s, v.name) for v in walk(graph, DT).visits for s in v.before) == late
    same_way(graph)


def test_graphs_in_graphs_are_entered_by_their_input_and_left_by_their_output() -> None:
    inner = nir.NIRGraph(
        {"in": nir.Input({"input": np.array([2])}), "n": an_if(), "out": nir.Output({"output": np.array([2])})},
        [("in", "n"), ("n", "out")],
        type_check=False,
    )
    graph = a_graph("i>g>o", g=a_graph("i>h>o", h=inner))
    names = ["i", "g.i", "g.h.in", "g.h.n", "g.h.out", "g.o", "o"]
    assert [v.name for v in walk(graph, DT).visits] == names
    same_way(graph)


def test_a_loop_by_hand() -> None:
    """Neurons that hear their own spike of two steps ago."""
    graph = a_graph("i>n>o n>d>w>n", n=an_if(), d=WAITS, w=nir.Linear(np.array([[0.75, 0], [0, 0.25]])))
    no_program = Program("float", 1, 1, (), ())
    inputs = np.array([[1.5, 1.5], [0, 0], [0.5, 0.5], [0, 0]])
    fired = SpikingTarget.named("reference").run(SpikingModel(graph, no_program, no_program), inputs, "float", True)
    # Step 2: 0.5 and what fired in step 0, times 0.75 or 0.25: 1.25 fires, 0.75 does not.
    assert fired.spikes["n"].tolist() == [[True, True], [False, False], [True, False], [False, False]]
    assert fired.v["n"].tolist() == [[0, 0], [0, 0], [0, 0.75], [0, 0.75]]


def test_a_fault_of_the_compiler_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Delay that the compiler makes a step too long: every target that runs its program now differs."""
    graph = a_graph("i>d>n>o", d=WAITS, n=an_if())
    inputs = (np.random.default_rng(0).random((20, 2)) < 0.5).astype(np.float64)
    assert verify(model_of_graph(graph, 20, inputs), inputs, ["loihi"]).targets["loihi-float"].spike_exact == 1.0
    right = compiler._left
    monkeypatch.setattr(compiler, "_left", lambda *of: None if right(*of) is None else right(*of) + 1)
    assert verify(model_of_graph(graph, 20, inputs), inputs, ["loihi"]).targets["loihi-float"].spike_exact < 1.0
