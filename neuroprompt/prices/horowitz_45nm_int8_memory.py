"""Energy of 8-bit integers in 45 nm with the memory that feeds it, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.prices._helpers import A_SPIKE, LEAVES_OUT_MEMORY, TECHNOLOGY, VOLTAGE, arithmetic, memory, update


class Horowitz45nmInt8Memory(Prices):
    """8-bit integers, potentials of 32 bits, and memory.

    E = 0.23 pJ (macs + synops_graded) + 0.03 pJ synops + 3.2 pJ updates + 2.5 pJ (reads + writes) + 10 pJ states.

    One list prices generator and backbone alike, so it is the one to compare them by. Weights and activations are of 8
    bits, states of 32, in a cache of 32 KB at 20 pJ per 64 bits; the range is from 8 KB to 1 MB, and where the weights
    need more, this is too low. An update is a leak's multiplication and an addition, without a leak (low) the addition.
    """

    title = "45 nm, 8-bit integers, memory included (Horowitz 2014)"
    scope = "per term"
    evidence = "estimated"
    technology = TECHNOLOGY
    voltage = VOLTAGE
    leaves_out = LEAVES_OUT_MEMORY
    includes: ClassVar[Mapping[str, str]] = A_SPIKE
    prices: ClassVar[Mapping[str, Price]] = {
        **arithmetic(0.2, 0.03, "INT8"),
        **update(3.1, 0.1, "INT32"),
        **memory(8, 32),
    }
