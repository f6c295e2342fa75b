"""Loihi 1's energy per event as SANA-FE models it: its figures for synapse, neuron and message, in its own terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices

SOURCE = (
    "Boyle et al., SANA-FE: Simulating Advanced Neuromorphic Architectures for Fast Exploration, IEEE TCAD 44(8), "
    "2025, doi:10.1109/TCAD.2025.3537971, abstract (Loihi's energy within 12 % on three applications); figure in its "
    "arch/loihi.yaml"
)
ACCESS, UPDATE, SPIKE = 51.2, 21.6, 69.3
"""Picojoules of a neuron: in every step; where its potential or input is not 0; where it spikes."""


class SanaFeLoihi(Prices):
    """Loihi 1 by SANA-FE: E = 35.5 pJ synops + 142.1 pJ active updates + 72.8 pJ inactive updates + 111 pJ spikes.

    An update is access (51.2 pJ), plus update (21.6 pJ) where the neuron's input, potential or bias is not 0, plus
    spike (69.3 pJ) where it fires. The counts do not say which silent neurons were idle, so an inactive update is
    priced as access and update, at its low end as access alone. A synaptic operation is that of a dense synapse; low:
    of a convolution. A spike sends one message: one to every core that listens, so this is a lower bound. An event that
    carries a number is priced as a spike: Loihi 1 has no such events.

    The file names Davies et al. 2018 as the source of its figures, but that paper's Table 2 has others (the list
    `loihi`); the model was calibrated to the chip.
    """

    title = "Loihi 1 by SANA-FE (Boyle et al. 2025)"
    scope = "per term"
    evidence = "simulated"
    technology = "14 nm FinFET, a model of Loihi 1 calibrated to the chip"
    voltage = "not stated where it was read"
    leaves_out = (
        "hops between tiles (3.0 pJ east or west, 4.2 pJ north or south) and messages to more than one core, but for a "
        "run that is placed on cores; host input and read-out, the x86 cores, static power, learning"
    )
    prices: ClassVar[Mapping[str, Price]] = {
        "synops": Price(35.5e-12, f"{SOURCE}: dense synapse (low: convolution)", low=24.0e-12),
        "synops_graded": Price(35.5e-12, f"{SOURCE}: dense synapse, without the product that the chip does not have"),
        "updates_active": Price(142.1e-12, f"{SOURCE}: access {ACCESS} + update {UPDATE} + spike {SPIKE} pJ"),
        "updates_inactive": Price(
            72.8e-12, f"{SOURCE}: access {ACCESS} + update {UPDATE} pJ (low: access alone)", low=51.2e-12
        ),
        "spikes": Price(111e-12, f"{SOURCE}: message out, one for each spike"),
    }
    placed: ClassVar[Mapping[str, Price]] = {
        "updates_idle": Price(ACCESS * 1e-12, f"{SOURCE}: access"),
        "messages": Price(111e-12, f"{SOURCE}: message out"),
        "hops_x": Price(3.0e-12, f"{SOURCE}: east or west hop"),
        "hops_y": Price(4.2e-12, f"{SOURCE}: north or south hop"),
    }
