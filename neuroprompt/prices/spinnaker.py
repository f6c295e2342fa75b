"""SpiNNaker's energy per synaptic event and neuron update, as KerasSpiking gives them from Hoeppner et al."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._keras_spiking import HOEPPNER, KerasSpikingChip, synapses_and_neurons


class Spinnaker(KerasSpikingChip):
    """The first SpiNNaker machine: E = 13.3 nJ synops + 26 nJ updates.

    We read KerasSpiking's copy, not the paper's own table; the copy does not say how the figures were obtained, so they
    are graded as estimated.
    """

    title = "SpiNNaker (Hoeppner et al. 2019)"
    evidence = "estimated"
    technology = "not stated where it was read"
    voltage = "not stated where it was read"
    prices: ClassVar[Mapping[str, Price]] = synapses_and_neurons(
        HOEPPNER, Price(13.3e-9, f"{HOEPPNER}: energy_per_synop"), 26e-9
    )
