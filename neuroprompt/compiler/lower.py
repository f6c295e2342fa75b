"""The front half of the compiler in one call: from a NIR graph to the float program, with the chip's schedule."""

from __future__ import annotations

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.flatten import Flat, flatten
from neuroprompt.compiler.normalise import normalise
from neuroprompt.compiler.schedule import schedule
from neuroprompt.spiking.program import Program


def lower(graph: nir.NIRGraph | Flat, steps: int, dt: float | None = None) -> Program:
    """flatten (where it is not flat yet) -> normalise -> schedule, for `steps` steps of dt seconds (default: its own).

    Raises BadGraph, BadSetting, and Unsupported, naming the node. What only the chip cannot hold (`check_chip`) passes:
    float simulators run it.
    """
    flat = graph if isinstance(graph, Flat) else flatten(graph, dt)
    return schedule(normalise(flat, steps))


def stimulus(program: Program) -> NDArray[np.float64]:
    """Inputs (T, n_in) to try a program with: zeros where nothing listens to them, else seeded spikes, half of them."""
    shape = (program.steps, program.inputs)
    if all(p.source != "input" for p in program.projections):
        return np.zeros(shape)
    return (np.random.default_rng(0).random(shape) < 0.5).astype(np.float64)
