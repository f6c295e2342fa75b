"""Energy of 32-bit floating point arithmetic in 45 nm, from Horowitz's figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price
from neuroprompt.prices._horowitz import Horowitz, arithmetic


class Horowitz45nmFp32(Horowitz):
    """32-bit floating point: E = 4.6 pJ (macs + synops_graded) + 0.9 pJ synops."""

    title = "45 nm, 32-bit floating point (Horowitz 2014)"
    prices: ClassVar[Mapping[str, Price]] = arithmetic(3.7, 0.9, "FP32")
