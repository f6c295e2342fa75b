"""The reference's own way through a NIR graph: which node takes what, from which node, and from how many steps ago.

It shares no code with the compiler, so that each can find a fault in the other. Plain, and slow on large graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

FIRING = (nir.IF, nir.LIF, nir.CubaLIF, nir.Threshold)
NEURONS = (*FIRING, nir.I, nir.LI, nir.CubaLI)
Edge = tuple[str, str]


@dataclass(frozen=True)
class Visit:
    """One node of a step; a node in a graph in the graph is called "outer.inner".

    It takes the sum of what the nodes of `now` gave in this step and those of `before` in the one before. A Delay of a
    step or more takes nothing in a step: it gives what it has kept, and keeps the sum of `keeps` when the step is over.
    """

    name: str
    node: Any
    now: tuple[str, ...]
    before: tuple[str, ...]
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Walk:
    """All nodes in an order in which each comes after those of its `now`.

    `inputs` take the graph's input lines, side by side in this order. `readouts` are Outputs that do not just pass on
    what one node of neurons gives: their values are recorded too. `recurrent` are neurons that reach themselves without
    passing other neurons.
    """

    visits: tuple[Visit, ...]
    inputs: tuple[str, ...]
    readouts: tuple[str, ...]
    recurrent: frozenset[str]


def walk(graph: nir.NIRGraph, dt: float) -> Walk:
    """The way through `graph`, whose steps are of dt seconds.

    A value reaches the next node in the same step, except where that would close a circle: then a Delay of a step or
    more is late by itself, and in a circle without one every value that leaves neurons comes a step later.
    """
    nodes, edges = _unfold("", graph)
    into_delays = {(s, t) for s, t in edges if _waits(nodes[t], dt)}
    same_step = edges - into_delays
    late = {(s, t) for s, t in same_step & _circular(same_step) if isinstance(nodes[s], NEURONS)}
    same_step -= late

    def before(name: str, some: set[Edge]) -> tuple[str, ...]:
        return tuple(sorted(s for s, t in some if t == name))

    sources = {name: before(name, edges) for name in nodes}
    visits = tuple(
        Visit(name, nodes[name], before(name, same_step), before(name, late), before(name, into_delays))
        for name in _in_order(nodes, same_step)
    )
    inputs = tuple(name for name in sorted(nodes) if isinstance(nodes[name], nir.Input) and not sources[name])
    taken = {s for s, _ in edges}
    ends = [name for name, node in nodes.items() if isinstance(node, nir.Output) and name not in taken]
    readouts = tuple(name for name in ends if not _passes_neurons_on(name, nodes, sources, late))
    linear = {(s, t) for s, t in edges if not isinstance(nodes[s], NEURONS)}
    starts = {s: [t for n, t in edges if n == s] for s, node in nodes.items() if isinstance(node, NEURONS)}
    recurrent = frozenset(s for s, after in starts.items() if any(s in _reached(t, linear) for t in after))
    return Walk(visits, inputs, readouts, recurrent)


def _unfold(prefix: str, graph: nir.NIRGraph) -> tuple[dict[str, Any], set[Edge]]:
    """Nodes and edges, where a graph in the graph stands for its Input to those before it, and its Output to others."""
    nodes: dict[str, Any] = {}
    edges: set[Edge] = set()
    entry: dict[str, str] = {}
    leave: dict[str, str] = {}
    for name, node in ((str(name), node) for name, node in graph.nodes.items()):
        full = entry[name] = leave[name] = prefix + name
        if isinstance(node, nir.NIRGraph):
            inner_nodes, inner_edges = _unfold(full + ".", node)
            nodes |= inner_nodes
            edges |= inner_edges
            (entry[name],) = (f"{full}.{n}" for n, v in node.nodes.items() if isinstance(v, nir.Input))
            (leave[name],) = (f"{full}.{n}" for n, v in node.nodes.items() if isinstance(v, nir.Output))
        else:
            nodes[full] = node
    return nodes, edges | {(leave[str(source)], entry[str(target)]) for source, target in graph.edges}


def _waits(node: Any, dt: float) -> bool:
    return isinstance(node, nir.Delay) and bool(np.all(np.rint(np.asarray(node.delay) / dt) >= 1))


def _circular(edges: set[Edge]) -> set[Edge]:
    """The edges from whose end a way leads back to their start."""
    left = set(edges)
    while True:  # what nothing leads to, or what leads nowhere, is in no circle
        starts, ends = {s for s, _ in left}, {t for _, t in left}
        core = {(s, t) for s, t in left if s in ends and t in starts}
        if core == left:
            break
        left = core
    return {(s, t) for s, t in left if s in _reached(t, left)}


def _reached(start: str, edges: set[Edge]) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        for target in {t for s, t in edges if s == here} - seen:
            seen.add(target)
            waiting.append(target)
    return seen


def _in_order(nodes: dict[str, Any], edges: set[Edge]) -> list[str]:
    """Each after its sources, by name where there is a choice."""
    missing = {name: {s for s, t in edges if t == name} for name in nodes}
    order: list[str] = []
    while missing:
        name = min(name for name, sources in missing.items() if not sources)
        order.append(name)
        del missing[name]
        for sources in missing.values():
            sources.discard(name)
    return order


def _passes_neurons_on(name: str, nodes: dict[str, Any], sources: dict[str, tuple[str, ...]], late: set[Edge]) -> bool:
    while isinstance(nodes[name], (nir.Input, nir.Output, nir.Flatten)):
        if len(sources[name]) != 1 or (sources[name][0], name) in late:
            return False
        name = sources[name][0]
    return isinstance(nodes[name], NEURONS)
