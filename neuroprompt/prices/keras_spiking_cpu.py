"""The figure that KerasSpiking takes for a multiply-accumulate on a Intel i7-4960X."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import KERAS, KERAS_LEAVES_OUT

SOURCE = f"{KERAS}, from Degnan et al., Assessing trends in performance per watt, IEEE TVLSI 24(1), 2016"


class KerasSpikingCpu(Prices):
    """Intel i7-4960X: E = 8.6 nJ macs; KerasSpiking calls it very rough.

    KerasSpiking also takes one such operation for each neuron of the network; activations are not counted here.
    """

    title = "Intel i7-4960X, KerasSpiking's figure"
    scope = "per term"
    evidence = "estimated"
    technology = "Intel i7-4960X"
    voltage = "not stated where it was read"
    leaves_out = f"activations; {KERAS_LEAVES_OUT}"
    prices: ClassVar[Mapping[str, Price]] = {"macs": Price(8.6e-9, f"{SOURCE}: energy_per_synop")}
