"""The float program on real sinabs layers, in float64, in packages of their own: sinabs wants nir 1.0.4 at most."""

from __future__ import annotations

from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.side_packages import SidePackages, SidePackagesTarget
from neuroprompt.spiking.program import Population


class Sinabs(SidePackagesTarget):
    """IAF, LIF and ExpLeak with SingleSpike, norm_input off, and decays given as alpha.

    LIF: v = alpha_mem v + x; spike if v >= threshold; then reset_fn. IAF: the same with alpha_mem = 1. ExpLeak: without
    spikes, for what never fires, and with alpha_mem = 1 - du for a current with memory; x = u + bias.

    alpha_mem = 1 - dv is set in double precision: exp(-1/tau) comes from a tau in single. The threshold is the next
    number above vth. sinabs' MembraneReset adds reset_value to neurons that did not spike too, so the reset_fn
    is ours: v = v_reset on spike, or v less vth; where that comes late v stays, and the next input is less by vth.
    LIF's tau_syn is not used: it decays an input in its first step, so that a / (1 - du) would have to be fed, which
    rounds. Nothing is refused.

    Sinabs' own importer, which takes min_v_mem = -v_threshold for IF and ignores v_reset, is not used.
    """

    about = "sinabs' layers in float64, in its own packages"
    runtime = SidePackages("sinabs", WORKERS / "sinabs.txt")
    needs = ("torch",)

    def check(self, population: Population) -> None:
        """Sinabs' neurons can do whatever a population does."""
