"""Inputs for a graph: random spikes, or what a file holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuroprompt.compiler.flatten import Flat, flatten
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.spiking.graph import steps_of
from neuroprompt.workers.program_file import UNREADABLE

POISSON = "poisson"
MOST_CELLS = 2**27
"""Steps times input lines, of which each takes 8 bytes and more."""


def inputs_of(spec: str, lines: int, steps: int | None, seed: int = 0) -> Floats:
    """Inputs (T, lines): `poisson:RATE` for seeded spikes of that chance a step, or a `.npy` of finite numbers.

    `steps` is how many steps of spikes are drawn; a file may have more than that, of which the first are taken, but not
    fewer. Raises BadSetting, BadData.
    """
    kind, _, rate = spec.partition(":")
    if steps is not None and not 0 < steps * lines <= MOST_CELLS:
        raise BadSetting(f"{steps} steps of {lines} input lines", f"at least 1, and at most {MOST_CELLS:,} values")
    if kind == POISSON:
        if steps is None:
            raise BadSetting("the graph does not say for how many steps it runs", "a number of steps", "--steps 100")
        return (np.random.default_rng(seed).random((steps, lines)) < _chance(spec, rate)).astype(np.float64)
    if Path(spec).suffix != ".npy" and not Path(spec).exists():
        raise BadSetting(f"--input {spec}", "poisson:RATE, or a .npy file (steps, lines)")
    if Path(spec).exists() and not Path(spec).is_file():  # a pipe would wait for ever for its writer
        raise BadData(f"--input {spec} is no regular file", "a .npy of numbers (T, n), or poisson:RATE")
    try:
        inputs: Floats = np.load(spec, allow_pickle=False).astype(np.float64)
    except UNREADABLE as error:
        # numpy's own words for a file that is no array offer to unpickle it
        why = f" ({error})" if isinstance(error, OSError) else ""
        raise BadData(f"--input {spec} cannot be read{why}", "a .npy of numbers (T, n), or poisson:RATE") from error
    if inputs.ndim != 2 or inputs.shape[1] != lines or not len(inputs) or not np.isfinite(inputs).all():
        raise BadData(f"--input {spec} holds shape {inputs.shape}", f"finite numbers of shape (T, {lines})")
    if steps is not None and steps > len(inputs):
        raise BadData(f"--input {spec} holds {len(inputs)} steps", f"at least --steps {steps}")
    return inputs if steps is None else inputs[:steps]


def flat_with_inputs(
    file: Path,
    steps: int | None,
    spec: str,
    dt: float | None = None,
    seed: int = 0,
    *,
    convention: str | None = None,
    reset: str | None = None,
) -> tuple[Flat, Floats]:
    """The graph of a .nir file in flat form, and `inputs_of` it; spikes are drawn for the graph's own steps by default.

    `dt`, `convention` and `reset` as in `neuroprompt.compiler.read.read_graph`. Raises BadGraph, BadSetting, BadData,
    UnknownName.
    """
    graph = read_graph(file, dt, convention, reset)
    flat = flatten(graph)
    steps = steps if steps is not None or not spec.startswith(POISSON) else steps_of(graph)
    return flat, inputs_of(spec, flat.lines, steps, seed)


def _chance(spec: str, rate: str) -> float:
    try:
        chance = float(rate)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise BadSetting(f"--input {spec}", "poisson: and a rate from 0 to 1, such as poisson:0.2")
    return chance
