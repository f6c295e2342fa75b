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
    from neuroprompt.compiler.stimuli import flat_with_inputs

    return flat_with_inputs(file, steps, drive, dt, seed)
