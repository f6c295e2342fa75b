"""The figure that KerasSpiking takes for a multiply-accumulate on a Nvidia GTX Titan Black."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import KERAS, KERAS_LEAVES_OUT

SOURCE = f"{KERAS}, from Degnan et al., Assessing trends in performance per watt, IEEE TVLSI 24(1), 2016"


class KerasSpikingGpu(Prices):
    """Nvidia GTX Titan Black: E = 0.3 nJ macs; KerasSpiking calls it very rough.

    It assumes much parallelism, such as inputs in large batches.

    KerasSpiking also takes one such operation for each neuron of the network; activations are not counted here.
    """

    title = "Nvidia GTX Titan Black, KerasSpiking's figure"
    scope = "per term"
    evidence = "estimated"
    technology = "Nvidia GTX Titan Black"
    voltage = "not stated where it was read"
    leaves_out = f"activations; {KERAS_LEAVES_OUT}"
    prices: ClassVar[Mapping[str, Price]] = {"macs": Price(0.3e-9, f"{SOURCE}: energy_per_synop")}
