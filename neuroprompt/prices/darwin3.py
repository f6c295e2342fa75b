"""Darwin3's energy per synaptic operation, measured; it has no published price for updates or spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices


class Darwin3(Prices):
    """Zhejiang's Darwin3: E = 5.47 pJ synops, what a synaptic operation adds.

    The paper keeps the power of the baseline and of the neurons apart (Eq. 7) and gives no joules per update: a run
    that counts neuron updates raises Unpriced, because a part is not the whole.
    """

    title = "Darwin3 (Ma et al. 2024)"
    scope = "per term"
    evidence = "measured"
    technology = "22 nm FDSOI, 333 MHz"
    voltage = "0.8 V"
    leaves_out = "the baseline's power, neuron updates and spikes (kept apart in the paper), input and read-out"
    prices: ClassVar[Mapping[str, Price]] = {
        "synops": Price(
            5.47e-12,
            "Ma et al., Darwin3, National Science Review 11(5):nwae102, 2024, text: measured average 5.47 pJ/SOP",
        ),
    }
