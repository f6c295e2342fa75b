"""Energy of 32-bit floating point in 45 nm with the memory that feeds it, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import A_SPIKE, LEAVES_OUT_MEMORY, TECHNOLOGY, VOLTAGE, arithmetic, memory, update


class Horowitz45nmFp32Memory(Prices):
    """32-bit floating point and memory.

    E = 4.6 pJ (macs + synops_graded) + 0.9 pJ synops + 4.6 pJ updates + 10 pJ (reads + writes + states).

    One list prices generator and backbone alike, so it is the one to compare them by. Numbers are of 32 bits, in a
    cache of 32 KB at 20 pJ per 64 bits; the range is from 8 KB to 1 MB, and where the weights need more, this is too
    low. An update is a leak's multiplication and an addition, without a leak (low) the addition alone.
    """

    title = "45 nm, 32-bit floating point, memory included (Horowitz 2014)"
    scope = "per term"
    evidence = "estimated"
    technology = TECHNOLOGY
    voltage = VOLTAGE
    leaves_out = LEAVES_OUT_MEMORY
    includes: ClassVar[Mapping[str, str]] = A_SPIKE
    prices: ClassVar[Mapping[str, Price]] = {
        **arithmetic(3.7, 0.9, "FP32"),
        **update(3.7, 0.9, "FP32"),
        **memory(32, 32),
    }
