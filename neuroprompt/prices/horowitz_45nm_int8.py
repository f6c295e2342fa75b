"""Energy of 8-bit integer arithmetic in 45 nm, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import LEAVES_OUT, TECHNOLOGY, VOLTAGE, arithmetic


class Horowitz45nmInt8(Prices):
    """8-bit integers: what a network would cost if it ran in 8 bits.

    E = 0.23 pJ (macs + synops_graded) + 0.03 pJ synops.

    A multiply-accumulate is one multiplication and one addition; a synaptic operation adds a weight: one addition, and
    a multiplication where its event carries a number. Neuron updates and spikes are not in the figure, and are not
    priced: a total that counts them is refused.
    """

    title = "45 nm, 8-bit integers (Horowitz 2014)"
    scope = "per term"
    evidence = "estimated"
    technology = TECHNOLOGY
    voltage = VOLTAGE
    leaves_out = f"the wider accumulator that 8-bit products need (0.1 pJ per 32-bit add); {LEAVES_OUT}"
    prices: ClassVar[Mapping[str, Price]] = arithmetic(0.2, 0.03, "INT8")
