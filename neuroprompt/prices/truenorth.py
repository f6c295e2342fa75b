"""TrueNorth's energy per synaptic event, measured, the whole chip included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices


class TrueNorth(Prices):
    """IBM's TrueNorth: E = 26 pJ synops, the chip's power over its synaptic events at one operating point.

    72 mW at 20 Hz and 128 active synapses a neuron. Static power and updates are in the figure: nothing may be added to
    it, and a net with fewer events per update costs more than it says. The chip has binary spikes: events that carry
    numbers raise Unpriced.
    """

    title = "TrueNorth (Merolla et al. 2014)"
    scope = "all-in"
    evidence = "measured"
    technology = "28 nm CMOS"
    voltage = "0.775 V"
    leaves_out = "host input and read-out; any other ratio of events to updates than 20 Hz and 128 active synapses"
    prices: ClassVar[Mapping[str, Price]] = {
        "synops": Price(
            26e-12,
            "Merolla et al., A million spiking-neuron integrated circuit, Science 345:668, 2014, main text: 26 pJ per "
            "synaptic event (72 mW, 20 Hz, 128 active synapses)",
        ),
    }
    includes: ClassVar[Mapping[str, str]] = {
        "spikes": "the whole chip's power is in the figure, spikes and their routing included",
        "updates_active": "the whole chip's power is in the figure, neuron updates included",
        "updates_inactive": "the whole chip's power is in the figure, neuron updates included",
    }
