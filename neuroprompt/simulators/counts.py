"""Counts alone of a batch of runs: how often every neuron fired, in memory that does not grow with the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.items import CELLS
from neuroprompt.spiking.program import SpikingModel


@dataclass(frozen=True)
class SpikeCounts:
    """What is left of B runs when nobody asks for the steps.

    spikes   how often each neuron fired, (B, n), by node
    values   the mean over the steps of what a node gives that never fires, (B, n), by node
    seconds  of all runs
    """

    spikes: Mapping[str, NDArray[np.int64]]
    values: Mapping[str, NDArray[np.float64]]
    seconds: float


def spike_counts(
    target: SpikingTarget,
    model: SpikingModel,
    inputs: NDArray[Any],
    precision: str | None = None,
    *,
    progress: Progress = SILENT,
) -> SpikeCounts:
    """`target.run` of a batch (B, T, n_in), every run from rest, of which counts alone are kept.

    It runs in parts of some 2^24 spikes. `inputs` may be a file that NumPy maps into memory. Raises what a run raises.
    """
    if inputs.ndim != 3 or not len(inputs):
        raise Unsupported(f"inputs of shape {inputs.shape}", "(runs, steps, lines) of 1 run or more")
    precision = target.precisions[0] if precision is None else precision
    widest = max(inputs.shape[2], *(p.size for p in target.program(model, precision).populations))
    each = max(1, CELLS // (inputs.shape[1] * widest))
    starts = range(0, len(inputs), each)
    parts = [
        _counted(target.run(model, np.asarray(inputs[first : first + each]), precision))
        for first in progress.track(starts, "running items", len(starts))
    ]
    return SpikeCounts(
        {name: np.concatenate([part.spikes[name] for part in parts]) for name in parts[0].spikes},
        {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        sum(part.seconds for part in parts),
    )


def _counted(recording: Recording) -> SpikeCounts:
    spikes = {name: fired.sum(axis=1, dtype=np.int64) for name, fired in recording.spikes.items()}
    values = {name: numbers.mean(axis=1, dtype=np.float64) for name, numbers in recording.values.items()}
    return SpikeCounts(spikes, values, recording.seconds)
