"""What a net in C costs: bytes of constants and of state, and the operations of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from neuroprompt.csource.net import CNet
from neuroprompt.csource.synapses import is_silent
from neuroprompt.csource.writer import Array
from neuroprompt.loihi.neurons import Trace
from neuroprompt.spiking.program import Program, Projection


@dataclass(frozen=True)
class Cost:
    """Of a net in C, without its instructions, which depend on the processor.

    constant_bytes   weights and parameters: flash
    state_bytes      potentials, currents, spikes and sums: RAM
    additions        weights added in a step, the mean over the inputs that it was exported with
    most_additions   the same where every line and every neuron is active
    updates          neurons updated in a step
    """

    constant_bytes: int
    state_bytes: int
    additions: float
    most_additions: int
    updates: int

    def json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self)


def cost_of(program: Program, net: CNet, sent: Array, traces: Mapping[str, Trace]) -> Cost:
    """The cost of `program` as `net`, on the inputs `sent` (T, n_in) that led to `traces`."""
    emitted = {"input": sent} | {name: trace.spikes for name, trace in traces.items()}
    used = [q for q in program.projections if not is_silent(q)]
    added = sum(_added(q, emitted[q.source][: max(0, program.steps - q.lag)]) for q in used)
    return Cost(
        net.constant_bytes,
        net.state_bytes,
        added / program.steps,
        sum(q.weights.values.size for q in used),
        sum(p.size for p in program.populations),
    )


def _added(projection: Projection, sent: Array) -> int:
    """The weights that the function of a projection adds: those of a source that sent something, zeros too."""
    weights = projection.weights
    if weights.is_one_to_one:
        return int(weights.values.size * len(sent))
    active = np.count_nonzero(sent, axis=0)
    each = np.diff(weights.raw.tocsc().indptr) if weights.is_sparse else weights.shape[0]
    return int((active * each).sum())
