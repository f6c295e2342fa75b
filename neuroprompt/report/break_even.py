"""The rate at which the spiking part would cost what an equal quantised network costs, as a figure."""

from __future__ import annotations

import numpy as np

from neuroprompt.energy.break_even import BreakEven
from neuroprompt.energy.estimate import NOTE
from neuroprompt.report._axes import BLUE, ORANGE, plain_axes
from neuroprompt.report._parts import Plot, slug


def plot(name: str, result: BreakEven) -> Plot | None:
    """Joules of both over the rate of events; None where the spiking part has no synapses, so no rate either."""
    if not result.joules_dense:
        return None
    rates = np.linspace(0.0, 1.0, 101)
    spiking = [result.joules_at(rate) for rate in rates]
    low, high = result.joules_quantised
    figure, axes = plain_axes()
    axes.plot(100 * rates, spiking, color=BLUE, label="spiking part")
    axes.axhspan(low, high, color=ORANGE, alpha=0.35, label=f"equal {result.bits}-bit network")
    axes.axhline(high, color=ORANGE)
    axes.plot(100 * result.rate, result.joules_spiking, "o", color=BLUE, label="this run")
    axes.set_xlim(0, 100)
    axes.set_ylim(0)
    axes.set_xlabel("rate of events (% of the dense synaptic operations)")
    axes.set_ylabel("joules a run")
    axes.set_title(NOTE, fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    caption = f"{name}: {result.describe()}."
    rows = [(f"{rate:.2f}", joules, low, high) for rate, joules in zip(rates, spiking, strict=True)]
    columns = ("rate", "joules, spiking", "joules, quantised, low", "joules, quantised, high")
    return Plot(f"break-even-{slug(name)}", figure, caption, columns, rows)
