"""Energy of 8-bit integer arithmetic in 45 nm, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts import Price, Prices
from neuroprompt.energy._helpers import FIGURE, LEAVES_OUT, TECHNOLOGY


class Horowitz45nmInt8(Prices):
    """8-bit integers: E = 0.23 pJ macs + 0.03 pJ synops; what a network would cost if it ran in 8 bits.

    A multiply-accumulate is one multiplication and one addition; a synaptic operation adds a weight: one addition.
    Neuron updates and spikes are not in the figure, and are not priced: a total that counts them is refused.
    """

    title = "45 nm, 8-bit integers (Horowitz 2014)"
    scope = "per term"
    evidence = "estimated"
    technology = TECHNOLOGY
    leaves_out = f"the wider accumulator that 8-bit products need (0.1 pJ per 32-bit add); {LEAVES_OUT}"
    prices: ClassVar[Mapping[str, Price]] = {
        "macs": Price(0.23e-12, f"{FIGURE}: INT8 multiply 0.2 pJ + INT8 add 0.03 pJ"),
        "synops": Price(0.03e-12, f"{FIGURE}: INT8 add 0.03 pJ"),
    }
