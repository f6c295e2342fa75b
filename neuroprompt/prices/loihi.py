"""Loihi 1's energy per event, from Table 2 of its paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices

TABLE = "Davies et al., Loihi, IEEE Micro 38(1), 2018, Table 2"


class Loihi(Prices):
    """Intel's first Loihi chip: pre-silicon simulation (SDF and SPICE) at 0.75 V, not a measurement of the chip.

    E = 23.6 pJ synops + 81 pJ active updates + 52 pJ inactive updates + 1.7 pJ spikes.

    The table says "active / inactive" without a definition; here an update is active where the neuron spikes. At the
    upper end of the range every update is active: at most 81/52 = 1.56 times as much. An event that carries a number is
    priced as a spike: Loihi 1 has no such events, so this is a lower bound.

    These are not Loihi 2's figures: none per operation have been published.
    """

    title = "Loihi 1 (Davies et al. 2018)"
    scope = "per term"
    evidence = "simulated"
    technology = "14 nm FinFET, pre-silicon SDF and SPICE simulation"
    voltage = "0.75 V"
    leaves_out = (
        "hops between tiles (3 to 4 pJ each) but for a run that is placed on cores, host input and read-out, "
        "the x86 cores, the barrier between time steps, static power, learning; "
        "the synaptic operation is the table's minimum"
    )
    prices: ClassVar[Mapping[str, Price]] = {
        "synops": Price(23.6e-12, f"{TABLE}: energy per synaptic spike op (min)"),
        "synops_graded": Price(23.6e-12, f"{TABLE}: the same, without the product that the chip does not have"),
        "updates_active": Price(81e-12, f"{TABLE}: energy per neuron update, active"),
        "updates_inactive": Price(52e-12, f"{TABLE}: energy per neuron update, inactive (high: active)", high=81e-12),
        "spikes": Price(1.7e-12, f"{TABLE}: within-tile spike energy"),
    }
    placed: ClassVar[Mapping[str, Price]] = {
        "hops_x": Price(3.0e-12, f"{TABLE}: energy per tile hop, east or west"),
        "hops_y": Price(4.0e-12, f"{TABLE}: energy per tile hop, north or south"),
    }
