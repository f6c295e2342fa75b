"""ODIN's energy per synaptic operation, measured, with its range from incremental to all-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices


class Odin(Prices):
    """ODIN, a 256-neuron core with online learning: E = 12.7 pJ synops all-in; 8.43 pJ (low) what one more costs.

    ODIN has one core of 256 neurons and 64k synapses; nothing larger was measured. The chip has binary spikes: events
    that carry numbers raise Unpriced.
    """

    title = "ODIN (Frenkel et al. 2019)"
    scope = "all-in"
    evidence = "measured"
    technology = "28 nm FDSOI CMOS"
    voltage = "0.55 V"
    leaves_out = "input and read-out, and everything that a net larger than one core of 256 neurons needs"
    prices: ClassVar[Mapping[str, Price]] = {
        "synops": Price(
            12.7e-12,
            "Frenkel et al., A 0.086-mm2 12.7-pJ/SOP 64k-synapse 256-neuron online-learning digital spiking "
            "neuromorphic processor, IEEE TBioCAS 13(1), 2019, abstract: 12.7 pJ minimum; text: 8.43 pJ incremental",
            low=8.43e-12,
        ),
    }
    includes: ClassVar[Mapping[str, str]] = {
        "spikes": "the whole chip's power is in the figure, spikes and their routing included",
        "updates_active": "the whole chip's power is in the figure, neuron updates included",
        "updates_inactive": "the whole chip's power is in the figure, neuron updates included",
    }
