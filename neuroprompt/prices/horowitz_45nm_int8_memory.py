"""Energy of 8-bit integers in 45 nm with the memory that feeds them, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._horowitz import HorowitzMemory, arithmetic, memory, update


class Horowitz45nmInt8Memory(HorowitzMemory):
    """Weights and activations of 8 bits, potentials and other states of 32.

    E = 0.23 pJ (macs + synops_graded) + 0.03 pJ synops + 3.2 pJ updates + 2.5 pJ (reads + writes) + 10 pJ states.
    """

    title = "45 nm, 8-bit integers, memory included (Horowitz 2014)"
    prices: ClassVar[Mapping[str, Price]] = arithmetic(0.2, 0.03, "INT8") | update(3.1, 0.1, "INT32") | memory(8, 32)
