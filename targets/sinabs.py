"""The float program on real sinabs layers, in float64, in packages of their own: sinabs wants nir 1.0.4 at most."""

from __future__ import annotations

from neuroprompt.overlay import OverlaidTarget, Overlay
from neuroprompt.program import Population
from neuroprompt.runtime import WORKERS


class Sinabs(OverlaidTarget):
    """IAF, LIF and ExpLeak with SingleSpike and MembraneReset, norm_input off, each decay given as alpha.

    LIF: i = alpha_syn (i + x); v = alpha_mem v + i; spike if v >= threshold; v = v (no spike) + reset_value.
    IAF: the same with alpha_mem = 1. ExpLeak: v = alpha_mem v + x, which never fires.

    alpha = exp(-1/tau) would be rounded to single precision from tau: alpha_mem = 1 - dv is set instead. The input of a
    current is decayed in its first step: x = a / (1 - du). The threshold is the next number above vth. sinabs adds
    reset_value to neurons that did not spike too, so it is left at 0, and potentials are counted from v_reset:
    v' = v - v_reset, threshold' = vth - v_reset, and x gets -dv v_reset. Where such a part or a bias stands beside a
    current with memory, that current is an ExpLeak before the LIF. Nothing is refused.

    Sinabs' own importer, which takes min_v_mem = -v_threshold for IF and ignores v_reset, is not used.
    """

    about = "sinabs' layers in float64, in packages of its own"
    runtime = Overlay("sinabs", WORKERS / "sinabs.txt")

    def check(self, population: Population) -> None:
        """Sinabs' neurons can do whatever a population does."""
