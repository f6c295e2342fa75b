"""Energy of 16-bit floating point arithmetic in 45 nm, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts import Price, Prices
from neuroprompt.energy._helpers import FIGURE, LEAVES_OUT, TECHNOLOGY


class Horowitz45nmFp16(Prices):
    """16-bit floating point: E = 1.5 pJ macs + 0.4 pJ synops; what a network would cost if it ran in half precision.

    A multiply-accumulate is one multiplication and one addition; a synaptic operation adds a weight: one addition.
    Neuron updates and spikes are not in the figure, and are not priced: a total that counts them is refused.
    """

    title = "45 nm, 16-bit floating point (Horowitz 2014)"
    scope = "per term"
    evidence = "estimated"
    technology = TECHNOLOGY
    leaves_out = LEAVES_OUT
    prices: ClassVar[Mapping[str, Price]] = {
        "macs": Price(1.5e-12, f"{FIGURE}: FP16 multiply 1.1 pJ + FP16 add 0.4 pJ"),
        "synops": Price(0.4e-12, f"{FIGURE}: FP16 add 0.4 pJ"),
    }
