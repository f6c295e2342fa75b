"""Energy of 16-bit floating point in 45 nm with the memory that feeds it, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import A_SPIKE, LEAVES_OUT_MEMORY, TECHNOLOGY, VOLTAGE, arithmetic, memory, update


class Horowitz45nmFp16Memory(Prices):
    """16-bit floating point and memory.

    E = 1.5 pJ (macs + synops_graded) + 0.4 pJ synops + 1.5 pJ updates + 5 pJ (reads + writes + states).

    One list prices generator and backbone alike, so it is the one to compare them by. Numbers are of 16 bits, in a
    cache of 32 KB at 20 pJ per 64 bits; the range is from 8 KB to 1 MB, and where the weights need more, this is too
    low. An update is a leak's multiplication and an addition, without a leak (low) the addition alone.
    """

    title = "45 nm, 16-bit floating point, memory included (Horowitz 2014)"
    scope = "per term"
    evidence = "estimated"
    technology = TECHNOLOGY
    voltage = VOLTAGE
    leaves_out = LEAVES_OUT_MEMORY
    includes: ClassVar[Mapping[str, str]] = A_SPIKE
    prices: ClassVar[Mapping[str, Price]] = {
        **arithmetic(1.1, 0.4, "FP16"),
        **update(1.1, 0.4, "FP16"),
        **memory(16, 16),
    }
