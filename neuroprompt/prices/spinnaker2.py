"""A SpiNNaker2 prototype's energy per synaptic event and update, as KerasSpiking gives them from Hoeppner et al."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import KERAS, KERAS_LEAVES_OUT, KERAS_SPIKES

SOURCE = (
    "Hoeppner et al., Dynamic power management for neuromorphic many-core systems, IEEE TCAS-I 66(8), 2019, "
    f"arXiv 1903.08941, as in {KERAS}"
)


class Spinnaker2(Prices):
    """A test chip of SpiNNaker2, not the chip that was made later: E = 450 pJ synops + 2.19 nJ updates.

    The paper's own table was not read, only KerasSpiking's copy of it; other programs carry 1.5 nJ for the same synop.
    """

    title = "SpiNNaker2, a prototype (Hoeppner et al. 2019)"
    scope = "per term"
    evidence = "measured"
    technology = "28 nm SLP CMOS test chip of 4 processing elements"
    voltage = "0.7 to 1.0 V, scaled with the load"
    leaves_out = f"the chip that was made after the prototype; {KERAS_LEAVES_OUT}"
    prices: ClassVar[Mapping[str, Price]] = {
        "synops": Price(450e-12, f"{SOURCE}: energy_per_synop"),
        "updates_active": Price(2.19e-9, f"{SOURCE}: energy_per_neuron"),
        "updates_inactive": Price(2.19e-9, f"{SOURCE}: energy_per_neuron"),
    }
    includes: ClassVar[Mapping[str, str]] = KERAS_SPIKES
