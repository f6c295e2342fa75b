"""Energy of 16-bit floating point arithmetic in 45 nm, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import LEAVES_OUT, TECHNOLOGY, VOLTAGE, arithmetic


class Horowitz45nmFp16(Prices):
    """16-bit floating point: what a network would cost if it ran in half precision.

    E = 1.5 pJ (macs + synops_graded) + 0.4 pJ synops.

    A multiply-accumulate is one multiplication and one addition; a synaptic operation adds a weight: one addition, and
    a multiplication where its event carries a number. Neuron updates and spikes are not in the figure, and are not
    priced: a total that counts them is refused.
    """

    title = "45 nm, 16-bit floating point (Horowitz 2014)"
    scope = "per term"
    evidence = "estimated"
    technology = TECHNOLOGY
    voltage = VOLTAGE
    leaves_out = LEAVES_OUT
    prices: ClassVar[Mapping[str, Price]] = arithmetic(1.1, 0.4, "FP16")
