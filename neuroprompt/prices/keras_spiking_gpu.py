"""The figure that KerasSpiking takes for a multiply-accumulate on an Nvidia GTX Titan Black."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._keras_spiking import KerasSpikingDevice, multiply_accumulate


class KerasSpikingGpu(KerasSpikingDevice):
    """Nvidia GTX Titan Black: E = 0.3 nJ macs. It assumes large batches."""

    title = "Nvidia GTX Titan Black, KerasSpiking's figure"
    technology = "Nvidia GTX Titan Black"
    prices: ClassVar[Mapping[str, Price]] = multiply_accumulate("0.3")
