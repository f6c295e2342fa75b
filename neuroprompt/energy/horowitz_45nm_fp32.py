"""Energy of 32-bit floating point arithmetic in 45 nm, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts import Price, Prices
from neuroprompt.energy._helpers import FIGURE, LEAVES_OUT, TECHNOLOGY


class Horowitz45nmFp32(Prices):
    """32-bit floating point: E = 4.6 pJ macs + 0.9 pJ synops.

    A multiply-accumulate is one multiplication and one addition; a synaptic operation adds a weight: one addition.
    Neuron updates and spikes are not in the figure, and are not priced: a total that counts them is refused.
    """

    title = "45 nm, 32-bit floating point (Horowitz 2014)"
    scope = "per term"
    evidence = "estimated"
    technology = TECHNOLOGY
    leaves_out = LEAVES_OUT
    prices: ClassVar[Mapping[str, Price]] = {
        "macs": Price(4.6e-12, f"{FIGURE}: FP32 multiply 3.7 pJ + FP32 add 0.9 pJ"),
        "synops": Price(0.9e-12, f"{FIGURE}: FP32 add 0.9 pJ"),
    }
