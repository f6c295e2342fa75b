"""The figure that KerasSpiking takes for a multiply-accumulate on an ARM Cortex-A."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._keras_spiking import KerasSpikingDevice, multiply_accumulate


class KerasSpikingArm(KerasSpikingDevice):
    """ARM Cortex-A: E = 0.9 nJ macs."""

    title = "ARM Cortex-A, KerasSpiking's figure"
    technology = "ARM Cortex-A"
    prices: ClassVar[Mapping[str, Price]] = multiply_accumulate("0.9")
