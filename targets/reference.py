"""The plain definition of right: the NIR graph's own equations, step by step in float64 numpy, without chip delays."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.conventions import Reading
from neuroprompt.compiler.reading import reading_of
from neuroprompt.contracts.deployment import Availability, Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import SpikingModel

from ._equations import Delay, Neurons, passed_on, shape_of
from ._walk import FIRING, NEURONS, Visit, Walk, walk

Array = NDArray[np.float64]


class Reference(SpikingTarget):
    """Every node of the graph computed as NIR defines it, with the equations of `_equations.Neurons`.

    Values reach the next node in the same step; in a circle, those that leave neurons a step later (`_walk.walk`).
    Linear nodes are computed as they stand, and never multiplied out. Of the
    compiler nothing is used but how the graph's numbers are to be read (`neuroprompt.compiler.reading`), so that
    comparing a target with this one also checks the compiler.
    """

    about = "plain float64 numpy on the NIR graph: the definition that all others are compared with"

    @classmethod
    def available(cls) -> Availability:
        """Always: numpy is all it needs."""
        return Availability(True, "in process", f"numpy {version('numpy')}")

    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """Run the graph on each of `inputs` (B, T, n_in); raises Unsupported. Potentials are those after the reset."""
        return Recording.stacked([_run_alone(model, each, states) for each in inputs])


def _run_alone(model: SpikingModel, inputs: NDArray[Any], states: bool) -> Recording:
    reading = reading_of(model.graph)
    way = walk(model.graph, reading.dt)
    nodes = {visit.name: visit.node for visit in way.visits}
    sizes = [int(np.prod(nodes[name].input_type["input"])) for name in way.inputs]
    if inputs.shape[1] != sum(sizes):
        raise Unsupported(f"inputs of shape {inputs.shape}", f"(T, {sum(sizes)})")
    start = time.perf_counter()
    parts = np.split(inputs.astype(np.float64), np.cumsum(sizes)[:-1], axis=1)
    emitted, potentials = _run(way, dict(zip(way.inputs, parts, strict=True)), reading, len(inputs))
    seconds = time.perf_counter() - start
    firing = [name for name, node in nodes.items() if isinstance(node, FIRING)]
    graded = [name for name, node in nodes.items() if isinstance(node, NEURONS) and name not in firing]
    return Recording(
        {name: emitted[name] > 0 for name in firing},
        seconds,
        {name: potentials[name] for name in firing} if states else {},
        values={name: emitted[name] for name in (*graded, *way.readouts)},
    )


def _run(
    way: Walk, inputs: dict[str, Array], reading: Reading, steps: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """What neurons and readouts gave, (T, n), and the potentials of neurons."""
    nodes = {visit.name: visit.node for visit in way.visits}
    neurons = {
        name: Neurons(node, reading, name in way.recurrent, reading.resets.get(name, "value"))
        for name, node in nodes.items()
        if isinstance(node, NEURONS)
    }
    delays = {
        name: Delay(np.rint(np.asarray(node.delay, np.float64) / reading.dt).astype(np.int64))
        for name, node in nodes.items()
        if isinstance(node, nir.Delay)
    }
    emitted: dict[str, list[Array]] = {name: [] for name in (*neurons, *way.readouts)}
    potentials: dict[str, list[Array]] = {name: [] for name in neurons}
    before: dict[str, Array] = {}
    for t in range(steps):
        now: dict[str, Array] = {}
        for visit in way.visits:
            name = visit.name
            if name in inputs:
                now[name] = passed_on(visit.node, inputs[name][t])
            elif visit.keeps:
                now[name] = delays[name].give(t)
            else:
                x = _sum(visit, nodes, now, before)
                if name in neurons:
                    now[name] = neurons[name].step(x)
                elif name in delays:
                    delays[name].keep(x)
                    now[name] = delays[name].give(t)
                else:
                    now[name] = passed_on(visit.node, x)
            if name in emitted:
                emitted[name].append(now[name].reshape(-1))
            if name in neurons:
                potentials[name].append(np.broadcast_to(neurons[name].v, now[name].shape).reshape(-1))
        for visit in way.visits:
            if visit.keeps:
                delays[visit.name].keep(_together(visit.node, [now[source] for source in visit.keeps]))
        before = now
    return {k: np.stack(rows) for k, rows in emitted.items()}, {k: np.stack(rows) for k, rows in potentials.items()}


def _sum(visit: Visit, nodes: dict[str, Any], now: dict[str, Array], before: dict[str, Array]) -> Array:
    """What arrives at a node; before the first step neurons gave zeros."""
    arrived = [now[source] for source in visit.now]
    for source in visit.before:
        size = shape_of(nodes[source]) or np.shape(getattr(visit.node, "weight", ()))[-1:]
        arrived.append(before[source] if before else np.zeros(size))
    return _together(visit.node, arrived)


def _together(node: Any, arrived: list[Array]) -> Array:
    """The sum of what arrives, in the node's own shape where its parameters have one."""
    shape = shape_of(node) if isinstance(node, (*NEURONS, nir.Delay)) else ()
    shape = shape or next((x.shape for x in arrived if x.shape), ())
    total: Array = np.sum([x.reshape(shape) for x in arrived], axis=0)
    return total
