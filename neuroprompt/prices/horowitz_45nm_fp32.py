"""Energy of 32-bit floating point arithmetic in 45 nm, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import LEAVES_OUT, TECHNOLOGY, VOLTAGE, arithmetic


class Horowitz45nmFp32(Prices):
    """32-bit floating point: E = 4.6 pJ (macs + synops_graded) + 0.9 pJ synops.

    A multiply-accumulate is one multiplication and one addition; a synaptic operation adds a weight: one addition, and
    a multiplication where its event carries a number. Neuron updates and spikes are not in the figure, and are not
    priced: a total that counts them is refused.
    """

    title = "45 nm, 32-bit floating point (Horowitz 2014)"
    scope = "per term"
    evidence = "estimated"
    technology = TECHNOLOGY
    voltage = VOLTAGE
    leaves_out = LEAVES_OUT
    prices: ClassVar[Mapping[str, Price]] = arithmetic(3.7, 0.9, "FP32")
