"""Latency: how long a step of a placed program takes on a Loihi 1, between two bounds, with SANA-FE's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.mapping import Placement, tiles_apart
from neuroprompt.spiking.program import Program

Array = NDArray[Any]

SOURCE = (
    "SANA-FE 2.2.9, loihi.yaml (Boyle et al., IEEE TCAD 44(8), 2025, doi:10.1109/TCAD.2025.3537971: latency within "
    "25 % of Loihi's on three applications)"
)
ACCESS, UPDATE, SPIKE, OUT, IN, SYNAPSE, HOP = 6.0, 3.7, 30.0, 5.1, 16.0, 3.8, 6.5
"""Nanoseconds: of a neuron in every step, where it is updated, where it spikes; of a message out and in; of a dense
synapse (the sparse one takes 4.7, that of a convolution 3.1); of a hop, the slower of its two directions."""
BARRIER = {1: 600.0, 2: 1000.0, 4: 1400.0, 29: 1800.0}
"""Nanoseconds in which the tiles agree that a step is over, from so many tiles in use on."""


@dataclass(frozen=True)
class Latency:
    """Seconds of a step (the mean of a run) and of a whole run, each between a lower and an upper bound.

    A core's neurons take time, and so do the messages that it gets. The lower bound has both at once in every core, the
    upper one after the other. `bottleneck` is the number of the core that is busy longest. Estimated, not measured.
    """

    step_low_s: float
    step_high_s: float
    run_low_s: float
    run_high_s: float
    bottleneck: int

    def json(self) -> dict[str, Any]:
        """For scripts; with the source of the figures."""
        return asdict(self) | {"source": SOURCE}


def latency(program: Program, emitted: Mapping[str, Array], placement: Placement) -> Latency:
    """The bounds for a run: `emitted` (T, n) are the spikes of "input" and of every population.

    neurons_c  = 6.0 n_c + 3.7 (updated) + 30 spikes + 5.1 messages out      updated: none, or all n_c
    messages_c = 16 messages in + 3.8 synaptic operations                    nanoseconds, in a step
    max_c max(neurons_c, messages_c) <= step - barrier <= max_c neurons_c + max_c messages_c + 5.1 + 6.5 hops
    """
    steps, cores = program.steps, placement.cores
    held, spikes, messages_out, messages_in, synops = (np.zeros((steps, len(cores))) for _ in range(5))
    for c, core in enumerate(cores):
        held[:, c] = core.neurons
        for name, (first, count) in core.holds.items():
            spikes[:, c] += emitted[name][:, first : first + count].sum(axis=1)
    for q in program.projections:
        sent = np.zeros((steps, q.weights.shape[1]))
        sent[q.lag :] = (emitted[q.source] != 0)[: max(0, steps - q.lag)]
        matrix = q.weights.rows() != 0
        for c, core in enumerate(cores):
            if q.target not in core.holds:
                continue
            first, count = core.holds[q.target]
            fan_out = np.asarray(matrix[first : first + count].sum(axis=0)).reshape(-1)
            messages_in[:, c] += sent @ (fan_out > 0)
            synops[:, c] += sent @ fan_out
            for s, source in enumerate(cores):
                start, size = source.holds.get(q.source, (0, 0))
                messages_out[:, s] += sent[:, start : start + size] @ (fan_out[start : start + size] > 0)
    least = ACCESS * held + SPIKE * spikes + OUT * messages_out
    most, arriving = least + UPDATE * held, IN * messages_in + SYNAPSE * synops
    farthest = max((tiles_apart(cores[a].tile, cores[b].tile) for a, b in placement.messages), default=0)
    barrier = BARRIER[max(n for n in BARRIER if n <= len({core.tile for core in cores}))]
    low = np.maximum(least, arriving).max(axis=1) + barrier
    high = most.max(axis=1) + arriving.max(axis=1) + OUT + HOP * farthest + barrier
    busy = int(np.argmax((most + arriving).sum(axis=0)))
    seconds = [float(x) * 1e-9 for x in (low.mean(), high.mean(), low.sum(), high.sum())]
    return Latency(seconds[0], seconds[1], seconds[2], seconds[3], busy)
