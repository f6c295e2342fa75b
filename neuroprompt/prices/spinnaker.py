"""SpiNNaker's energy per synaptic event and neuron update, as KerasSpiking gives them from Hoeppner et al."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import KERAS, KERAS_LEAVES_OUT, KERAS_SPIKES

SOURCE = (
    "Hoeppner et al., Dynamic power management for neuromorphic many-core systems, IEEE TCAS-I 66(8), 2019, "
    f"arXiv 1903.08941, as in {KERAS}"
)


class Spinnaker(Prices):
    """The first SpiNNaker machine: E = 13.3 nJ synops + 26 nJ updates.

    The paper's own table was not read, only KerasSpiking's copy of it; how it was obtained is not said there, so that
    it is graded estimated.
    """

    title = "SpiNNaker (Hoeppner et al. 2019)"
    scope = "per term"
    evidence = "estimated"
    technology = "not stated where it was read"
    voltage = "not stated where it was read"
    leaves_out = KERAS_LEAVES_OUT
    prices: ClassVar[Mapping[str, Price]] = {
        "synops": Price(13.3e-9, f"{SOURCE}: energy_per_synop"),
        "updates_active": Price(26e-9, f"{SOURCE}: energy_per_neuron"),
        "updates_inactive": Price(26e-9, f"{SOURCE}: energy_per_neuron"),
    }
    includes: ClassVar[Mapping[str, str]] = KERAS_SPIKES
