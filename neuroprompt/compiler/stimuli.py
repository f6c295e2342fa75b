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
LARGEST = 1e30
"""Larger numbers overflow where they are squared or added up."""
PIXELS = (128, 255)
"""The largest of whole numbers that are pixels of 8 bits lies between these."""


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
        stored = np.load(spec, allow_pickle=False)
    except UNREADABLE as error:
        # numpy's own words for a file that is no array offer to unpickle it
        why = f" ({error})" if isinstance(error, OSError) else ""
        raise BadData(f"--input {spec} cannot be read{why}", "a .npy of numbers (T, n), or poisson:RATE") from error
    if not isinstance(stored, np.ndarray) or stored.dtype.kind not in "fiub":
        kind = f"values of type {stored.dtype}" if isinstance(stored, np.ndarray) else "several arrays"
        raise BadData(f"--input {spec} holds {kind}", "a .npy of numbers (T, n), or poisson:RATE")
    if stored.ndim != 2 or stored.shape[1] != lines or not len(stored):
        raise BadData(f"--input {spec} holds shape {stored.shape}", f"numbers of shape (T, {lines})")
    inputs: Floats = stored.astype(np.float64)
    bad = np.argwhere(~(np.abs(inputs) <= LARGEST))
    if len(bad):
        (step, line), value = bad[0], inputs[tuple(bad[0])]
        raise BadData(f"--input {spec} holds {value:g} in step {step}, line {line}", f"numbers up to {LARGEST:g}")
    if steps is not None and steps > len(inputs):
        raise BadData(f"--input {spec} holds {len(inputs)} steps", f"at least --steps {steps}")
    return inputs if steps is None else inputs[:steps]


def input_hints(inputs: Floats) -> list[str]:
    """What is odd about numbers on the input lines: whole ones to 255 are pixels that nobody divided, most likely."""
    largest = inputs.max(initial=0)
    if not PIXELS[0] <= largest <= PIXELS[1] or inputs.min() < 0 or (inputs != np.rint(inputs)).any():
        return []
    return [
        f"check: the inputs are whole numbers up to {largest:g}, as pixels of 8 bits; "
        "where the net was trained on 0 to 1, divide them by 255"
    ]


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
