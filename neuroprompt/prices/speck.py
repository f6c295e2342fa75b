"""Speck's measured power: no joules per operation were published, so a run's seconds on the chip are needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices


class Speck(Prices):
    """SynSense's Speck: E = P seconds, with P = 0.70 mW, the lowest of the running system; 0.42 mW (low) at rest.

    A power is not a price per event: it holds for the paper's workloads, in which a run lasts as long as its events
    come in. An estimate needs the seconds of a run on that chip.
    """

    title = "Speck (Yao et al. 2024)"
    scope = "all-in"
    evidence = "measured"
    technology = "asynchronous CMOS with a sensor on the chip; the node is not stated where it was read"
    voltage = "not stated where it was read"
    leaves_out = (
        "what inputs busier than the paper's take: 0.70 mW is the lowest power that it gives for a running system"
    )
    prices: ClassVar[Mapping[str, Price]] = {}
    watts: ClassVar[Price | None] = Price(
        0.70e-3,
        "Yao et al., Spike-based dynamic computing, Nature Communications 15:4464, 2024, abstract: real-time power as "
        "low as 0.70 mW; processor at rest 0.42 mW",
        low=0.42e-3,
    )
