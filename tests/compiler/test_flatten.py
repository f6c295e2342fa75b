"""Graphs made flat: nesting, cycles and where they are cut, shapes, and what cannot be."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from neuroprompt.compiler.flatten import flatten
from neuroprompt.compiler.lower import lower
from neuroprompt.errors import BadGraph, Unsupported


def an_if(n: int, **other: Any) -> nir.IF:
    return nir.IF(**({"r": np.ones(n), "v_threshold": np.ones(n), "v_reset": np.zeros(n)} | other))


def source(*shape: int) -> nir.Input:
    return nir.Input({"input": np.array(shape)})


def sink(*shape: int) -> nir.Output:
    return nir.Output({"output": np.array(shape)})


def a_graph(edges: str, **nodes: Any) -> nir.NIRGraph:
    """Nodes by name; edges as "a>b>c d>e"."""
    joined = [pair for way in edges.split() for pair in pairwise(way.split(">"))]
    return nir.NIRGraph(nodes, joined, type_check=False)


def lags(graph: nir.NIRGraph) -> dict[tuple[str, str], int]:
    return {(s, n.name): lag for n in flatten(graph).nodes for s, lag in n.sources}


def test_a_graph_in_a_graph_is_named_with_a_dot() -> None:
    inner = a_graph("in>fc>out", **{"in": source(2), "fc": nir.Linear(np.ones((3, 2))), "out": sink(3)})
    outer = a_graph("i>g>n>o", i=source(2), g=inner, n=an_if(3), o=sink(3))
    assert [n.name for n in flatten(outer).nodes] == ["i", "g.in", "g.fc", "g.out", "n", "o"]
    (projection,) = lower(outer, 3).projections
    assert np.array_equal(projection.weights.raw, np.ones((3, 2)))


def test_a_cycle_is_cut_where_a_value_leaves_neurons_on_every_such_edge() -> None:
    w = nir.Linear(np.ones((2, 2)))
    recurrent = a_graph("i>n>o n>w>n", i=source(2), n=an_if(2), w=w, o=sink(2))
    found = lags(recurrent)
    assert found[("n", "w")] == 1
    assert found[("w", "n")] == found[("n", "o")] == 0
    both = a_graph("i>a>u>b>o b>w>a", i=source(2), a=an_if(2), u=w, b=an_if(2), w=w, o=sink(2))
    found = lags(both)
    assert found[("a", "u")] == found[("b", "w")] == 1
    assert [p.lag for p in lower(both, 3).projections if p.source != "input"] == [1, 1]


def test_a_delay_of_a_step_cuts_a_cycle_itself() -> None:
    w, d = nir.Linear(np.ones((2, 2))), nir.Delay(np.full(2, 3e-4))
    graph = a_graph("i>n>o n>d>w>n", i=source(2), n=an_if(2), d=d, w=w, o=sink(2))
    (back,) = [p for p in lower(graph, 9).projections if p.source == "n"]
    assert back.lag == 3


def test_names_decide_nothing_but_their_order_of_ties() -> None:
    w = nir.Linear(np.eye(2))
    first = a_graph("i>a>w>b>o", i=source(2), a=an_if(2), w=w, b=an_if(2), o=sink(2))
    other = a_graph("i>z>w>b>o", i=source(2), z=an_if(2), w=w, b=an_if(2), o=sink(2))
    assert [p.depth for p in lower(first, 3).populations] == [p.depth for p in lower(other, 3).populations] == [1, 2]


def test_several_inputs_stand_side_by_side_and_several_outputs_are_kept() -> None:
    graph = a_graph(
        "x>u>n y>v>n n>o n>w>q", x=source(2), y=source(3), u=nir.Linear(np.ones((2, 2))),
        v=nir.Linear(np.full((2, 3), 2.0)), n=an_if(2), w=nir.Linear(np.ones((1, 2))), o=sink(2), q=sink(1),
    )  # fmt: skip
    program = lower(graph, 3)
    assert program.inputs == 5
    assert np.array_equal(program.projections[0].weights.raw, [[1, 1, 2, 2, 2]] * 2)
    assert [(p.name, p.emits) for p in program.populations] == [("n", "spikes"), ("q", "v")]


@pytest.mark.parametrize(
    ("graph", "what"),
    [
        (a_graph("i>n>o", i=source(2), n=an_if(3), o=sink(3)), "'n' takes 3 values and gets 2"),
        (a_graph("i>n>o", i=source(2), n=an_if(2), o=sink(5)), "'o' takes 5 values and gets 2"),
        (a_graph("i>n>o i>x", i=source(2), n=an_if(2), o=sink(2)), "an edge joins 'i' to 'x'"),
        (a_graph("i>n>o", i=source(2), n=an_if(2), o=sink(2), x=an_if(1)), "nothing leads to node 'x'"),
        (a_graph("n>o", n=an_if(2), o=sink(2)), "nothing leads to node 'n'"),
        (a_graph("i>o>n", i=source(2), n=an_if(2), o=sink(2)), "output 'o' leads on"),
        (
            a_graph("i>a>b>a b>o", i=source(2), a=nir.Scale(np.ones(2)), b=nir.Scale(np.ones(2)), o=sink(2)),
            "a cycle without neurons",
        ),
        (a_graph("i>n>o", i=source(2), n=an_if(2, r=np.array([1, np.nan])), o=sink(2)), "r = nan"),
        (a_graph("i>n>o", i=source(0), n=an_if(2), o=sink(2)), "declares the shape"),
        (a_graph("i>w>n>o", i=source(2), w=nir.Affine(np.ones((3, 2)), np.ones(2)), n=an_if(3), o=sink(3)), "2 biases"),
    ],
)
def test_what_cannot_be_is_refused_by_name(graph: nir.NIRGraph, what: str) -> None:
    with pytest.raises(BadGraph, match=what) as caught:
        lower(graph, 3)
    assert "\n" not in str(caught.value)


def test_a_graph_too_large_is_refused_before_it_is_built() -> None:
    with pytest.raises(Unsupported, match="declares 1,000,000,000 values"):
        flatten(a_graph("i>n>o", i=source(10**9), n=an_if(2), o=sink(2)))
    shape = (16, 256, 256)
    conv = nir.Conv2d((256, 256), np.ones((16, 16, 3, 3)), 1, 1, 1, 1, np.zeros(16))
    with pytest.raises(Unsupported, match="'c' becomes"):
        lower(a_graph("i>c>o", i=source(*shape), c=conv, o=sink(*shape)), 1)
