"""Energy of 32-bit floating point in 45 nm with the memory that feeds it, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._horowitz import HorowitzMemory, arithmetic, memory, update


class Horowitz45nmFp32Memory(HorowitzMemory):
    """32-bit floating point, each number of 32 bits.

    E = 4.6 pJ (macs + synops_graded) + 0.9 pJ synops + 4.6 pJ updates + 10 pJ (reads + writes + states).
    """

    title = "45 nm, 32-bit floating point, memory included (Horowitz 2014)"
    prices: ClassVar[Mapping[str, Price]] = arithmetic(3.7, 0.9, "FP32") | update(3.7, 0.9, "FP32") | memory(32, 32)
