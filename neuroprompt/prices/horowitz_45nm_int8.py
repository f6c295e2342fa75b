"""Energy of 8-bit integer arithmetic in 45 nm, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._horowitz import Horowitz, arithmetic


class Horowitz45nmInt8(Horowitz):
    """8-bit integers: E = 0.23 pJ (macs + synops_graded) + 0.03 pJ synops."""

    title = "45 nm, 8-bit integers (Horowitz 2014)"
    leaves_out = f"the wider accumulator that 8-bit products need (0.1 pJ per 32-bit add); {Horowitz.leaves_out}"
    prices: ClassVar[Mapping[str, Price]] = arithmetic(0.2, 0.03, "INT8")
