"""The figures that KerasSpiking takes for Loihi 1: a synaptic operation with a mean hop, every update active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._keras_spiking import KERAS, KerasSpikingChip, synapses_and_neurons

SOURCE = f"{KERAS}, from Davies et al., IEEE Micro 38(1), 2018, Table 2"


class KerasSpikingLoihi(KerasSpikingChip):
    """Loihi 1 by KerasSpiking's convention: E = (23.6 + 3.5) pJ synops + 81 pJ updates.

    3.5 pJ is the mean of a hop to the side (3.0) and one up (4.0); every update costs what an active one does.
    """

    title = "Loihi 1, KerasSpiking's convention"
    evidence = "simulated"
    technology = "14 nm FinFET, pre-silicon SDF and SPICE simulation"
    voltage = "0.75 V"
    prices: ClassVar[Mapping[str, Price]] = synapses_and_neurons(
        SOURCE, Price(27.1e-12, f"{SOURCE}: energy_per_synop = 23.6 + 3.5 pJ"), 81e-12
    )
