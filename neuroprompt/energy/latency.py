"""Latency: how long a step of a placed program takes on a Loihi 1, with SANA-FE's figures and between two bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.energy.chip_events import ChipEvents

Array = NDArray[Any]

SOURCE = (
    "SANA-FE 2.2.9, loihi.yaml (Boyle et al., IEEE TCAD 44(8), 2025, doi:10.1109/TCAD.2025.3537971: latency within "
    "25 % of Loihi's on three applications)"
)
BAND = 0.25
"""How far SANA-FE's own latency was from the chip's, at most, on its paper's three applications."""
ACCESS, UPDATE, SPIKE, OUT, IN, SYNAPSE = 6.0, 3.7, 30.0, 5.1, 16.0, 3.8
"""Nanoseconds: of a neuron in every step, where it is updated, where it spikes; of a message out and in; of a dense
synapse (the sparse one takes 4.7, that of a convolution 3.1)."""
HOP_X, HOP_Y = 4.1, 6.5
"""Nanoseconds of a hop, east or west and north or south."""
BARRIER = {1: 600.0, 2: 1000.0, 4: 1400.0, 29: 1800.0}
"""Nanoseconds in which the tiles agree that a step is over, from so many tiles in use on."""


@dataclass(frozen=True)
class Latency:
    """Seconds of a step (the mean of a run) and of a whole run: estimated, not measured.

    step_s, run_s   every core sends as its neurons fire, and takes the messages that it gets in the order of arrival
    low, high       bounds that hold for every order: all cores at work at once, or messages after the neurons
    steps           chip steps of the run
    bottleneck      the number of the core that is busy longest, and its share of the time without barriers
    busy_s          how long every core is at work in the run; those of input lines last
    """

    step_s: float
    run_s: float
    step_low_s: float
    step_high_s: float
    run_low_s: float
    run_high_s: float
    steps: int
    bottleneck: int
    bottleneck_busy: float
    busy_s: tuple[float, ...] = ()

    @property
    def band_s(self) -> tuple[float, float]:
        """What the chip's own time of a run may be, as far as SANA-FE's paper says."""
        return self.run_s * (1 - BAND), self.run_s * (1 + BAND)

    def json(self) -> dict[str, Any]:
        """For scripts; with the source of the figures."""
        return asdict(self) | {"band_s": list(self.band_s), "source": SOURCE}


def latency(events: ChipEvents) -> Latency:
    """The time of a run's chip steps, in nanoseconds.

    neurons_c  = 6.0 n_c + 3.7 updated + 30 spikes + 5.1 messages out      of core c, in a step
    messages_c = 16 messages in + 3.8 synaptic operations
    max_c max(neurons_c, messages_c) <= step - barrier <= max_c neurons_c + max_c messages_c + hops

    In between: neurons go one after the other, each sends its messages when it is done, a message arrives after its
    hops, and a core serves what it gets in the order of arrival. Queues are as long as they need be.
    """
    cores = int(events.home.max(initial=0)) + 1
    owner = events.home[events.sender]
    hops = HOP_X * events.across + HOP_Y * events.along
    service = IN + SYNAPSE * events.synapses
    low, high, between = (np.zeros(len(events.fired)) for _ in range(3))
    busy = np.zeros(cores)
    for t, fired in enumerate(events.fired):
        own = np.zeros(len(fired))
        own[: events.neurons] = ACCESS + UPDATE * events.updated[t] + SPIKE * fired[: events.neurons]
        sent = np.flatnonzero(fired[events.sender])
        done = _finished(events, own, sent)
        arriving = np.bincount(events.core[sent], weights=service[sent], minlength=cores)
        messages_out = np.bincount(owner[sent], minlength=cores)
        working = np.bincount(events.home, weights=own, minlength=cores) + OUT * messages_out
        low[t] = max(working.max(), arriving.max())
        high[t] = working.max() + arriving.max() + (hops[sent].max() if len(sent) else 0.0)
        served = _served(done + hops[sent], service[sent], events.core[sent])
        between[t] = max(working.max(), served)
        busy += working + arriving
    barrier = BARRIER[max(n for n in BARRIER if n <= max(1, events.tiles))]
    seconds = [(x + barrier) * 1e-9 for x in (between, low, high)]
    means, sums = [float(x.mean()) for x in seconds], [float(x.sum()) for x in seconds]
    most, whole = int(np.argmax(busy)), float(between.sum())
    share = min(1.0, float(busy[most]) / whole) if whole else 0.0
    return Latency(
        means[0], sums[0], means[1], means[2], sums[1], sums[2], len(between), most, share, tuple(busy * 1e-9)
    )


def _finished(events: ChipEvents, own: Array, sent: Array) -> Array:
    """When each message of axons `sent` leaves its core: after all before it, of its sender and of earlier ones."""
    took = own + OUT * np.bincount(events.sender[sent], minlength=len(own))
    ends = np.cumsum(took)
    first = np.searchsorted(events.home, events.home)  # homes are in order
    begins = ends - took - (ends - took)[first]
    senders = events.sender[sent]
    place = np.arange(len(sent)) - np.searchsorted(senders, senders)
    finished: Array = begins[senders] + own[senders] + OUT * (place + 1)
    return finished


def _served(arrival: Array, service: Array, core: Array) -> float:
    """When the last core has served its last message; each takes its messages in the order of arrival.

    The last is done at max_i (arrival_i + the service of it and of all after it).
    """
    if not len(arrival):
        return 0.0
    order = np.lexsort((arrival, core))
    arrival, service, core = arrival[order], service[order], core[order]
    starts = np.flatnonzero(np.diff(core, prepend=-1))
    total = np.add.reduceat(service, starts)
    before = np.cumsum(service) - service
    within = before - np.repeat(before[starts], np.diff([*starts, len(core)]))
    ends = arrival - within + np.repeat(total, np.diff([*starts, len(core)]))
    return float(ends.max())
