"""Energy of 16-bit floating point in 45 nm with the memory that feeds it, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._horowitz import HorowitzMemory, arithmetic, memory, update


class Horowitz45nmFp16Memory(HorowitzMemory):
    """16-bit floating point, each number of 16 bits.

    E = 1.5 pJ (macs + synops_graded) + 0.4 pJ synops + 1.5 pJ updates + 5 pJ (reads + writes + states).
    """

    title = "45 nm, 16-bit floating point, memory included (Horowitz 2014)"
    prices: ClassVar[Mapping[str, Price]] = arithmetic(1.1, 0.4, "FP16") | update(1.1, 0.4, "FP16") | memory(16, 16)
