"""The float program on real rockpool neurons, in float64, their reset done from outside, in a package of its own."""

from __future__ import annotations

import numpy as np

from neuroprompt.errors import Unsupported
from neuroprompt.simulators.in_process import check_late
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.side_packages import SidePackages, SidePackagesTarget
from neuroprompt.spiking.program import Population


class Rockpool(SidePackagesTarget):
    """LIFTorch with leak_mode "decays", alpha = 1 - dv; its reset and its synapse are set from outside after each step.

    LIFTorch: i = beta (i + x); v = alpha v + i + bias; floor(v / threshold) spikes if v >= threshold; v is less by
    threshold times those. That is not NIR's reset: here v = v_reset is written where it fired, so what runs is
    rockpool's leak, threshold and bias, not what a Xylo chip does, which subtracts. Several spikes in a step are one.
    Where the population's reset subtracts, it is rockpool's own, with max_spikes_per_dt = 1.

    The threshold is the next number above vth. The synapse, which LIFTorch always has, decays an input in its first
    step: a LIFTorch of its own keeps i, u is its i before the step plus a, and the neurons' own has beta = 1 and
    is emptied before each step. What never fires has the largest threshold. Refused: a threshold of 0 or less, by which
    LIFTorch divides, and a reset that subtracts in the next step.
    """

    about = "rockpool's LIF in float64, its reset to a value done from outside (its own subtracts)"
    runtime = SidePackages("rockpool", WORKERS / "rockpool.txt")
    needs = ("torch",)

    def check(self, population: Population) -> None:
        """Raises Unsupported where a threshold is not above 0, or a reset subtracts in the next step."""
        check_late(population, "Rockpool")
        if population.emits == "spikes" and np.any(np.asarray(population.vth) <= 0):
            got = f"node {population.name!r} has a threshold of {np.min(population.vth):g}"
            raise Unsupported(got, "thresholds above 0, by which rockpool's neurons divide")
