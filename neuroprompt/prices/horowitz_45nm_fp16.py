"""Energy of 16-bit floating point arithmetic in 45 nm, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._horowitz import Horowitz, arithmetic


class Horowitz45nmFp16(Horowitz):
    """16-bit floating point: E = 1.5 pJ (macs + synops_graded) + 0.4 pJ synops."""

    title = "45 nm, 16-bit floating point (Horowitz 2014)"
    prices: ClassVar[Mapping[str, Price]] = arithmetic(1.1, 0.4, "FP16")
