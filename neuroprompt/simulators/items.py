"""A data set for spiking targets: inputs of many runs, and their labels, from .npy, .npz or HDF5 files."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.stimuli import LARGEST
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.simulators.decode import OutputNeurons, Reader, output_node
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.workers.program_file import UNREADABLE

INPUTS, LABELS = ("inputs", "x", "X", "data", "spikes"), ("labels", "y", "Y", "targets")
"""What the arrays of an .npz or HDF5 file may be called."""
FORMS = "a .npy, .npz or .h5 file"
CELLS = 2**24
"""Numbers that are read and run at a time."""
CALIBRATION_CELLS = 2**24
"""Inputs and potentials of the items that integers are fitted on: the search keeps some arrays of them."""


@dataclass(frozen=True)
class Items:
    """Inputs of B runs of `steps` steps of `lines` input lines, from rest each, and the class of each where known.

    `stored` is an array of the file's own shape, (B, T, ...), or (B, ...) of numbers that stay the same in every step;
    it may lie on disk, and is read in parts. `largest` is the largest magnitude in it.
    """

    stored: Any
    lines: int
    steps: int
    labels: NDArray[np.int64] | None = None
    largest: float = 1.0

    def __len__(self) -> int:
        return int(self.stored.shape[0])

    def part(self, start: int, stop: int) -> NDArray[Any]:
        """Items from `start` up to `stop`: (b, T, lines)."""
        rows = np.asarray(self.stored[start:stop])
        if prod(rows.shape[1:]) == self.lines:
            still = rows.reshape(len(rows), 1, self.lines)
            return np.broadcast_to(still, (len(rows), self.steps, self.lines))
        return rows[:, : self.steps].reshape(len(rows), self.steps, self.lines)

    def spread(self, most: int) -> NDArray[np.float64]:
        """At most `most` items from all parts of the data set, the first and the last among them: (b, T, lines)."""
        chosen = np.unique(np.linspace(0, len(self) - 1, most).round().astype(int))
        return np.concatenate([self.part(i, i + 1) for i in chosen]).astype(np.float64)

    def calibration(self, neurons: int) -> NDArray[np.float64]:
        """All items, or so many of them, spread over the data set, that the search of `neurons` fits in memory."""
        most = max(2, CALIBRATION_CELLS // (self.steps * (self.lines + neurons)))
        return self.spread(min(most, len(self)))

    def reader(self, model: SpikingModel, decode: str | None) -> Reader:
        """How a target's answer becomes a class: by the neurons of the graph's output. Raises Unsupported."""
        return OutputNeurons(output_node(model.graph), decode)

    def starts(self, neurons: int = 0) -> range:
        """Where parts begin that are small enough for memory, beside what `neurons` do in them; the step is a part."""
        return range(0, len(self), max(1, CELLS // (self.steps * max(self.lines, neurons, 1))))


def read_items(
    file: Path, labels: Path | None, lines: int, steps: int | None = None, still_steps: int | None = None
) -> Items:
    """The items in `file`, with the labels of that file, or of the file `labels`. Raises BadData, BadSetting.

    Inputs are (B, T, n), or (B, T, ...) with n numbers a step; or (B, n) with numbers that are the input of each of
    `steps` steps, or `still_steps`. `steps` may be fewer than those of the file, of which the first are taken.
    """
    stored, own = _arrays(file)
    shape = tuple(stored.shape)
    if not prod(shape) or len(shape) < 2:
        raise BadData(f"{file} holds inputs of shape {shape}", f"one item or more: (items, steps, {lines})")
    if len(shape) > 2 and prod(shape[2:]) == lines:
        if steps is not None and not 0 < steps <= shape[1]:
            raise BadData(f"{file} holds {shape[1]} steps an item", f"{steps} steps", "take fewer with --steps")
        steps = shape[1] if steps is None else steps
    elif prod(shape[1:]) != lines:
        got = f"{file} holds inputs of shape {shape}"
        raise BadData(got, f"(items, steps, {lines}): the graph has {lines} input lines")
    else:
        steps = still_steps if steps is None else steps
        if steps is None or steps < 1:
            got = f"{file} holds numbers without time steps, shape {shape}"
            raise BadSetting(got, "a number of steps in which they are the input", "for example --steps 25")
    largest = _largest(file, stored)
    classes = own if labels is None else _arrays(labels, LABELS)[0]
    if classes is None:
        return Items(stored, lines, steps, None, largest)
    return Items(stored, lines, steps, _checked(labels or file, classes, len(stored)), largest)


def _arrays(file: Path, names: tuple[str, ...] = INPUTS) -> tuple[Any, Any]:
    """The array of one of these names, or the only one, and the labels beside it; never a pickle."""
    if file.suffix not in (".npy", ".npz", ".h5", ".hdf5"):
        raise BadData(f"{file}", FORMS)
    if file.exists() and not file.is_file():
        raise BadData(f"{file} is no regular file", FORMS)  # a pipe would wait for ever for its writer
    try:
        if file.suffix == ".npy":
            return np.load(file, mmap_mode="r", allow_pickle=False), None
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                first, beside = _named(file, names, list(arrays.files))
                return arrays[first], None if beside is None else arrays[beside]
        opened = h5py.File(file, "r")
        datasets = [name for name, value in opened.items() if isinstance(value, h5py.Dataset)]
        first, beside = _named(file, names, datasets)
        return opened[first], None if beside is None else opened[beside][()]
    except UNREADABLE as error:
        # numpy's own words for a file that is no array offer to unpickle it
        why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise BadData(f"{file} cannot be read{why}", f"{FORMS} of plain numbers") from error


def _named(file: Path, names: tuple[str, ...], there: list[str]) -> tuple[str, str | None]:
    beside = next((name for name in LABELS if name in there), None) if names is INPUTS else None
    first = next((name for name in names if name in there), None)
    if first is None:
        others = [name for name in there if name != beside]
        if len(others) != 1:
            raise BadData(f"{file} holds the arrays {sorted(there)}", f"one called {names[0]!r}")
        (first,) = others
    return first, beside


def _largest(file: Path, stored: Any) -> float:
    """The largest magnitude; raises BadData where not all are finite numbers."""
    kind = np.dtype(stored.dtype).kind
    if kind not in "fiub":
        raise BadData(f"{file} holds values of type {stored.dtype}", "numbers")
    if kind == "b":
        return 1.0
    many, largest = max(1, CELLS // prod(stored.shape[1:])), 0.0
    for start in range(0, len(stored), many):
        rows = np.asarray(stored[start : start + many])
        most = max(float(rows.max()), -float(rows.min()))
        if not most <= LARGEST:
            strange = ~(np.abs(rows.astype(np.float64)) <= LARGEST).reshape(len(rows), -1)
            bad = start + int(np.flatnonzero(strange.any(axis=1))[0])
            what = f"{most:g}" if np.isfinite(most) else "NaN or infinity"
            raise BadData(f"{file} holds {what} in item {bad}", f"numbers up to {LARGEST:g}")
        largest = max(largest, most)
    return largest


def _checked(file: Path, labels: Any, items: int) -> NDArray[np.int64]:
    values = np.asarray(labels)
    if values.shape != (items,):
        raise BadData(f"{file} holds labels of shape {values.shape}", f"{items}, one for each item")
    if values.dtype.kind not in "iub" and not (values.dtype.kind == "f" and np.array_equal(values, np.rint(values))):
        raise BadData(f"{file} holds labels of type {values.dtype}", "whole numbers: the class of each item")
    if values.min() < 0:
        raise BadData(f"{file} holds the label {values.min()}", "classes from 0 on")
    return values.astype(np.int64)
