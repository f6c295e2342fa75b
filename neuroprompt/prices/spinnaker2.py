"""A SpiNNaker2 prototype's energy per synaptic event and update, as KerasSpiking gives them from Hoeppner et al."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._keras_spiking import HOEPPNER, LEAVES_OUT, KerasSpikingChip, synapses_and_neurons


class Spinnaker2(KerasSpikingChip):
    """A test chip of SpiNNaker2, not the chip that was made later: E = 450 pJ synops + 2.19 nJ updates.

    We read KerasSpiking's copy, not the paper's own table; other programs carry 1.5 nJ for the same operation.
    """

    title = "SpiNNaker2, a prototype (Hoeppner et al. 2019)"
    evidence = "measured"
    technology = "28 nm SLP CMOS test chip of 4 processing elements"
    voltage = "0.7 to 1.0 V, scaled with the load"
    leaves_out = f"the chip that was made after the prototype; {LEAVES_OUT}"
    prices: ClassVar[Mapping[str, Price]] = synapses_and_neurons(
        HOEPPNER, Price(450e-12, f"{HOEPPNER}: energy_per_synop"), 2.19e-9
    )
