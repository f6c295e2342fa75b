"""The figure that KerasSpiking takes for a multiply-accumulate on an Intel i7-4960X."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._keras_spiking import KerasSpikingDevice, multiply_accumulate


class KerasSpikingCpu(KerasSpikingDevice):
    """Intel i7-4960X: E = 8.6 nJ macs."""

    title = "Intel i7-4960X, KerasSpiking's figure"
    technology = "Intel i7-4960X"
    prices: ClassVar[Mapping[str, Price]] = multiply_accumulate("8.6")
