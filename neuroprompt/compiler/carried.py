"""Integers that a NIR file carries in its metadata, which other libraries ignore: a quantised net can travel."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np

from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import NeuropromptError
from neuroprompt.loihi.ranges import check_range
from neuroprompt.spiking.program import Program

PROGRAM, REPORT, OF = "loihi_program", "loihi_scale_report", "loihi_of"
"""Keys of the metadata: the integer program as bytes, its scale report as JSON, and the SHA-256 of what they are of."""


@dataclass(frozen=True)
class Carried:
    """An integer program and its scale report, as a file has them."""

    program: Program
    report: dict[str, Any]


def carrying(graph: nir.NIRGraph, floats: Program, fixed: Program, report: dict[str, Any]) -> nir.NIRGraph:
    """The graph with the integers of its float program in the metadata; its nodes are the same."""
    said = {
        PROGRAM: np.frombuffer(fixed.to_bytes(), np.uint8),
        REPORT: json.dumps(report),
        OF: _digest(floats),
    }
    return nir.NIRGraph(graph.nodes, graph.edges, metadata=graph.metadata | said, type_check=False)


def carried(graph: nir.NIRGraph, floats: Program, inputs: Floats | None) -> Carried | None:
    """The integers that `graph` carries for `floats`, its float program; None where it carries none that fit.

    They fit where the graph is the one that they were made of, number by number, and they take `inputs` (T, n_in).
    """
    if OF not in graph.metadata or graph.metadata[OF] != _digest(floats):
        return None
    try:
        data = np.asarray(graph.metadata[PROGRAM], np.uint8).tobytes()
        program = replace(Program.from_bytes(data), steps=floats.steps)
        if _shape(program) != _shape(floats):
            return None
        check_range(program)
        if inputs is not None:
            program.encode(inputs)
        return Carried(program, json.loads(graph.metadata[REPORT]))
    except (NeuropromptError, KeyError, TypeError, ValueError):
        return None


def without_integers(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph without the integers that it carries, so that they are fitted anew."""
    metadata = {key: value for key, value in graph.metadata.items() if key not in (PROGRAM, REPORT, OF)}
    return nir.NIRGraph(graph.nodes, graph.edges, metadata=metadata, type_check=False)


def _digest(floats: Program) -> str:
    """The SHA-256 of all numbers of a float program, whatever its steps."""
    return hashlib.sha256(replace(floats, steps=1).to_bytes()).hexdigest()


def _shape(program: Program) -> tuple[Any, ...]:
    return program.inputs, tuple((p.name, p.size, p.depth, p.emits) for p in program.populations)
