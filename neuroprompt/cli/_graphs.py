"""What verbs that take a NIR file share: the graph, and the inputs to drive it with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neuroprompt.compiler.flatten import Flat
    from neuroprompt.contracts.deployment import Floats


SplitSigns = Annotated[
    bool,
    typer.Option("--split-signs", help="Weights of both signs as two lists of synapses on the chip: a bit finer."),
]


def driven_graph(file: Path, steps: int | None, drive: str, dt: float | None, seed: int) -> tuple[Flat, Floats]:
    """A checked graph in flat form, and inputs (T, n_in) for it: `drive` as in `neuroprompt.compiler.stimuli`."""
    from neuroprompt.compiler.flatten import flatten
    from neuroprompt.compiler.read import read_graph
    from neuroprompt.compiler.stimuli import POISSON, inputs_of
    from neuroprompt.spiking.graph import steps_of

    graph = read_graph(file, dt)
    flat = flatten(graph)
    steps = steps if steps is not None or not drive.startswith(POISSON) else steps_of(graph)
    return flat, inputs_of(drive, flat.lines, steps, seed)
