"""Flatten: graphs in graphs become one, every cycle is cut where a value leaves neurons, and shapes are checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import nir
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from neuroprompt.compiler.check import LINEAR, MOST_NEURONS, NEURONS, PARAMETERS, check_node
from neuroprompt.compiler.conventions import Reading
from neuroprompt.compiler.linear import Shape, shape_after
from neuroprompt.compiler.reading import reading_of
from neuroprompt.errors import BadGraph, Unsupported

WHOLE = 1e-3
"""How far from a whole number of steps a delay may be, in steps."""
DEEPEST = 50


@dataclass(frozen=True)
class FlatNode:
    """One node: `sources` are (name, lag), lag in steps; `delay` (n,) is how many steps a Delay still adds to that."""

    name: str
    node: Any
    sources: tuple[tuple[str, int], ...]
    shape_in: Shape
    shape: Shape
    delay: Any = None

    @property
    def size(self) -> int:
        """Values that it gives."""
        return prod(self.shape)


@dataclass(frozen=True)
class Flat:
    """All nodes in the order in which a step computes them, how their numbers are read, and the graph they come from.

    In step t a node takes the sum of what its sources gave in step t - lag (0 before the first). lag is 0, or 1 on
    every edge that leaves a neuron and stays in a cycle: NIR is continuous in time, where a loop has no order, and this
    cut depends on none; it is what snnTorch's recurrent layers compute. A Delay of a step or more cuts a cycle itself.
    """

    nodes: tuple[FlatNode, ...]
    reading: Reading
    graph: nir.NIRGraph = field(repr=False, compare=False)

    @property
    def dt(self) -> float:
        """Seconds of a step."""
        return self.reading.dt

    @property
    def inputs(self) -> tuple[FlatNode, ...]:
        """The graph's own inputs; their values stand side by side in this order."""
        return tuple(n for n in self.nodes if isinstance(n.node, nir.Input) and not n.sources)

    @property
    def lines(self) -> int:
        """Input values of one step."""
        return sum(n.size for n in self.inputs)

    @property
    def outputs(self) -> tuple[FlatNode, ...]:
        """The graph's own outputs: nothing takes what they give."""
        taken = {source for n in self.nodes for source, _ in n.sources}
        return tuple(n for n in self.nodes if isinstance(n.node, nir.Output) and n.name not in taken)

    @property
    def readouts(self) -> tuple[FlatNode, ...]:
        """The outputs that give something else than one neuron node in the same step: sums of what neurons give."""
        nodes = {n.name: n for n in self.nodes}

        def made_by_neurons(n: FlatNode) -> bool:
            passing = (nir.Input, nir.Output, nir.Flatten)
            while len(n.sources) == 1 and not n.sources[0][1] and isinstance(n.node, passing):
                n = nodes[n.sources[0][0]]
            return isinstance(n.node, NEURONS)

        return tuple(n for n in self.outputs if not made_by_neurons(n))


def flatten(graph: nir.NIRGraph, dt: float | None = None) -> Flat:
    """`graph` in flat form; raises BadGraph where it cannot be, Unsupported where nothing here runs it."""
    reading = reading_of(graph, dt)
    dt = reading.dt
    nodes, edges = _unnested(graph)
    for name, node in nodes.items():
        check_node(name, node, reading)
    before: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in sorted(edges):
        before[target].append(source)
    for name, node in nodes.items():
        if not before[name] and not isinstance(node, nir.Input):
            raise BadGraph(f"nothing leads to node {name!r}", "a way from an Input to every node")
    delays = {name: _delay_steps(name, node, dt) for name, node in nodes.items() if isinstance(node, nir.Delay)}
    lags = _lags(nodes, before, delays)
    order = _order(nodes, before, lags)
    placed: dict[str, FlatNode] = {}
    shapes = {name: _shape_of(node) for name, node in nodes.items()}
    for name in order:
        node = nodes[name]
        sources = tuple((source, lags.get((source, name), 0)) for source in before[name])
        known = [placed[s].shape if s in placed else shapes.get(s, ()) for s, _ in sources]
        shape_in = _shape_in(name, node, [shape for shape in known if shape])
        shape = _shape(name, node, shape_in)
        placed[name] = FlatNode(name, node, sources, shape_in, shape, _left(name, delays, sources))
    if sum(n.size for n in placed.values()) > MOST_NEURONS:
        raise Unsupported(f"a graph of {sum(n.size for n in placed.values()):,} values", f"at most {MOST_NEURONS:,}")
    flat = Flat(tuple(placed.values()), reading, graph)
    for n in flat.nodes:
        for source, _ in n.sources:
            if placed[source].size != prod(n.shape_in):
                got = f"node {n.name!r} takes {prod(n.shape_in)} values and gets {placed[source].size} from {source!r}"
                raise BadGraph(got, "nodes of matching sizes")
    if not flat.inputs:
        raise BadGraph("the graph has no Input that nothing leads to", "at least one")
    return flat


def _unnested(graph: nir.NIRGraph) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """All nodes that are no graphs by name ("outer.inner"), and the edges between them."""
    nodes: dict[str, Any] = {}
    edges: set[tuple[str, str]] = set()
    # What an edge to, or from, the graph of that name means: its one Input, or Output.
    doors: dict[str, tuple[str, str]] = {}
    raw: list[tuple[str, str]] = []
    stack = [("", graph, 0)]
    while stack:
        prefix, inner, depth = stack.pop()
        if depth > DEEPEST:
            raise BadGraph(f"graphs nest deeper than {DEEPEST}", "fewer graphs in graphs")
        named = {str(name) for name in inner.nodes}
        for name, node in inner.nodes.items():
            full = f"{prefix}{name}"
            if full in nodes or full in doors:
                raise BadGraph(f"two nodes are called {full!r}", "names that differ")
            if isinstance(node, nir.NIRGraph):
                doors[full] = _door(full, node, nir.Input), _door(full, node, nir.Output)
                stack.append((f"{full}.", node, depth + 1))
            else:
                nodes[full] = node
        for edge in inner.edges:
            source, target = (str(end) for end in edge)
            for end in (source, target):
                if end not in named:
                    raise BadGraph(f"an edge joins {source!r} to {target!r}", "edges between nodes of the graph")
            raw.append((f"{prefix}{source}", f"{prefix}{target}"))
    for source, target in raw:
        edges.add((doors.get(source, (source,) * 2)[1], doors.get(target, (target,) * 2)[0]))
    for name, node in nodes.items():
        if isinstance(node, nir.Output) and "." not in name and any(source == name for source, _ in edges):
            raise BadGraph(f"output {name!r} leads on to another node", "an Output at the end")
    return nodes, edges


def _door(name: str, graph: nir.NIRGraph, kind: type) -> str:
    """The one Input, or Output, of the inner graph of that name; raises Unsupported where there is not one."""
    ends = [f"{name}.{n}" for n, node in graph.nodes.items() if isinstance(node, kind)]
    if len(ends) != 1:
        raise Unsupported(f"the inner graph {name!r} has {len(ends)} {kind.__name__}s", "exactly one")
    return ends[0]


def _delay_steps(name: str, node: Any, dt: float) -> Any:
    steps = np.asarray(node.delay, np.float64) / dt
    if np.any(np.abs(steps - np.rint(steps)) > WHOLE) or steps.max(initial=0) > 2**20:
        raise Unsupported(f"node {name!r} delays by {steps.max():g} steps of {dt:g} s", "whole steps, at most 2^20")
    return np.rint(steps).astype(np.int64)


def _lags(nodes: dict[str, Any], before: dict[str, list[str]], delays: dict[str, Any]) -> dict[tuple[str, str], int]:
    """1 for every edge in a cycle that leaves neurons, and for all that enter a Delay of a step or more in a cycle."""
    late = {name for name, steps in delays.items() if steps.size and steps.min() >= 1}
    cutting = {t for _, t in _in_cycles(nodes, before, set()) if t in late}
    lags = {(s, t): 1 for t in cutting for s in before[t]}
    lags |= {(s, t): 1 for s, t in _in_cycles(nodes, before, set(lags)) if isinstance(nodes[s], NEURONS)}
    return lags


def _in_cycles(
    nodes: dict[str, Any], before: dict[str, list[str]], cut: set[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """The edges, but those of `cut`, whose ends are in one strongly connected part."""
    number = {name: i for i, name in enumerate(nodes)}
    edges = [(s, t) for t, sources in before.items() for s in sources if (s, t) not in cut]
    if not edges:
        return
    rows, columns = zip(*((number[s], number[t]) for s, t in edges), strict=True)
    joined = coo_matrix((np.ones(len(edges)), (rows, columns)), (len(nodes),) * 2)
    _, part = connected_components(joined, directed=True, connection="strong")
    yield from ((s, t) for s, t in edges if part[number[s]] == part[number[t]])


def _order(nodes: dict[str, Any], before: dict[str, list[str]], lags: dict[tuple[str, str], int]) -> list[str]:
    """Nodes so that each comes after its sources of the same step; by name where that leaves a choice."""
    waiting = {t: {s for s in sources if (s, t) not in lags} for t, sources in before.items()}
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for target, sources in waiting.items():
        for source in sources:
            after[source].append(target)
    ready = sorted((name for name, sources in waiting.items() if not sources), reverse=True)
    order: list[str] = []
    while ready:
        name = ready.pop()
        order.append(name)
        for target in sorted(after[name], reverse=True):
            waiting[target].discard(name)
            if not waiting[target]:
                ready.append(target)
    if len(order) < len(nodes):
        left = sorted(set(nodes) - set(order))
        raise BadGraph(f"a cycle without neurons, among {', '.join(map(repr, left[:4]))}", "neurons in every cycle")
    return order


def _shape_of(node: Any) -> Shape:
    """The shape of neurons, or a Delay, by any parameter that is not a single number; () where all are."""
    if not isinstance(node, (*NEURONS, nir.Delay)):
        return ()
    shapes = (np.shape(getattr(node, key)) for key in PARAMETERS[type(node)])
    return next((shape for shape in shapes if shape), ())


def _shape_in(name: str, node: Any, known: list[Shape]) -> Shape:
    if known:
        return known[0]
    if isinstance(node, nir.Input):
        return _declared(name, node.input_type, "input")
    shape: Shape = _shape_of(node)
    if isinstance(node, (nir.Affine, nir.Linear)):
        shape = (*node.weight.shape[:-2], node.weight.shape[-1])
    if not shape:
        raise BadGraph(f"the size of node {name!r} is not known", "parameters that are vectors")
    return shape


def _shape(name: str, node: Any, shape_in: Shape) -> Shape:
    if isinstance(node, LINEAR):
        return shape_after(name, node, shape_in)
    if isinstance(node, nir.Input):
        shape = _declared(name, node.input_type, "input")
    elif isinstance(node, nir.Output):
        declared = node.output_type.get("output") if isinstance(node.output_type, dict) else None
        shape = shape_in if declared is None else _declared(name, node.output_type, "output")
    else:
        shape = _shape_of(node) or shape_in
    if prod(shape) != prod(shape_in):
        raise BadGraph(f"node {name!r} takes {prod(shape)} values and gets {prod(shape_in)}", "nodes of matching sizes")
    return shape


def _declared(name: str, types: Any, key: str) -> Shape:
    array = np.atleast_1d(np.asarray(types.get(key) if isinstance(types, dict) else None))
    if array.dtype.kind not in "iu" or array.ndim != 1 or (array.size and array.min() < 1) or not array.size:
        raise BadGraph(f"node {name!r} declares the shape {array.tolist()!r}", "whole numbers above 0")
    shape = tuple(int(n) for n in array)
    if prod(shape) > MOST_NEURONS:
        raise Unsupported(f"node {name!r} declares {prod(shape):,} values", f"at most {MOST_NEURONS:,}")
    return shape


def _left(name: str, delays: dict[str, Any], sources: tuple[tuple[str, int], ...]) -> Any:
    """The steps of a Delay, less the one that the edges into it take where they cut a cycle."""
    if name not in delays:
        return None
    return delays[name] - (1 if any(lag for _, lag in sources) else 0)
