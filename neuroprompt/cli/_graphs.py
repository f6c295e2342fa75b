"""What verbs that take a NIR file share: the graph, and the inputs to drive it with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuroprompt.cli._output import TerminalProgress, notes

if TYPE_CHECKING:
    from neuroprompt.compiler.conventions import Reading, Units
    from neuroprompt.compiler.flatten import Flat
    from neuroprompt.contracts.deployment import Floats


SplitSigns = Annotated[
    bool,
    typer.Option("--split-signs", help="Weights of both signs as two lists of synapses on the chip: a bit finer."),
]


WeightBits = Annotated[
    str,
    typer.Option(
        metavar="8..16|auto",
        help="Bits of weights on the chip, with their sign: above 8 by several lists of synapses, where they pay.",
    ),
]
Agreement = Annotated[
    float,
    typer.Option(
        help="With more than 8 bits: the Jaccard index of a layer that is enough, so that synapses are saved."
    ),
]


Tune = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Tune a graph's integers on what the float net does, N rounds a layer; on a data set, or several runs of "
        "poisson:RATE. A part of the runs is held out, and says what is kept.",
    ),
]
RUNS = 8
"""Of random spikes, where integers are tuned on them."""


class Chip(StrEnum):
    """Whose integer rules are used where the chips differ."""

    LOIHI1 = "loihi1"
    LOIHI2 = "loihi2"


From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="LIBRARY",
        help="Whose numbers a .nir file holds: nir, snntorch, norse, sinabs, spikingjelly, rockpool or spyx.",
    ),
]
Dt = Annotated[
    float | None,
    typer.Option(help="A graph's time step in seconds (default: its own, or its library's, or 1e-4)."),
]
Reset = Annotated[
    str | None,
    typer.Option(
        "--reset",
        metavar="zero|subtract",
        help="What a spike does to v in a .nir file: back to v_reset, or less by the threshold (default: as the file "
        "says, else v_reset).",
    ),
]


def graph_with_inputs(
    file: Path, steps: int | None, stimulus: str | None, units: Units, seed: int
) -> tuple[Flat, Floats]:
    """A checked graph in flat form, and inputs (T, n_in) for it; how its numbers are read goes to stderr.

    Without a stimulus half of all inputs are spikes.
    """
    from neuroprompt.compiler.stimuli import flat_with_inputs

    dt, library, reset = units
    spec = stimulus or "poisson:0.5"
    flat, inputs = flat_with_inputs(file, steps, spec, dt, seed, convention=library, reset=reset)
    print_reading(flat.reading, inputs)
    return flat, inputs


def graph_with_runs(
    file: Path,
    steps: int | None,
    stimulus: str | None,
    units: Units,
    seed: int,
    *,
    data_set: str = "--calibrate",
) -> tuple[Flat, Floats]:
    """`graph_with_inputs` for RUNS runs of random spikes (RUNS, T, n_in) with seeds that follow one another.

    Raises BadSetting for other inputs, which are a single run, and names `data_set`, the option for several.
    """
    import numpy as np

    from neuroprompt.compiler.stimuli import POISSON, inputs_of
    from neuroprompt.errors import BadSetting

    if stimulus is None or not stimulus.startswith(POISSON):
        got = "--tune without calibration inputs" if stimulus is None else f"--tune on the single run of {stimulus}"
        raise BadSetting(got, "several runs", f"{data_set} FILE, or --input poisson:RATE")
    flat, first = graph_with_inputs(file, steps, stimulus, units, seed)
    others = [inputs_of(stimulus, flat.lines, len(first), seed + i) for i in range(1, RUNS)]
    return flat, np.stack([first, *others])


def graph_with_samples(file: Path, steps: int | None, samples: Path, units: Units) -> tuple[Flat, Floats]:
    """A checked graph in flat form, and the runs of a data set (B, T, n_in) to calibrate on, as `graph_with_inputs`."""
    from neuroprompt.bundles.data_run import calibration
    from neuroprompt.compiler.flatten import flatten
    from neuroprompt.compiler.read import read_graph
    from neuroprompt.simulators.events import items_of
    from neuroprompt.spiking.graph import steps_of

    flat = flatten(read_graph(file, *units))
    its_own = steps_of(flat.graph) if "steps" in flat.graph.metadata else None
    items = items_of(flat, samples, None, steps=steps, its_own=its_own, progress=TerminalProgress())
    inputs = calibration(flat, items, TerminalProgress())
    print_reading(flat.reading, inputs)
    return flat, inputs


def print_reading(reading: Reading, inputs: Floats | None = None) -> None:
    """What was assumed of a graph's numbers, and what looks like another library's, or of another range, on stderr."""
    from neuroprompt.compiler.stimuli import input_hints

    if reading.assumed:
        notes.print(f"read as {reading.convention.name}, dt {reading.dt:g} s: {reading.assumed}", markup=False)
    for hint in reading.hints:
        notes.print(f"check: {hint}", markup=False)
    for hint in () if inputs is None else input_hints(inputs):
        notes.print(hint, markup=False)
