"""The float program on real SpikingJelly neurons, in float64, in an overlay of their own."""

from __future__ import annotations

from neuroprompt.overlay import OverlaidTarget, Overlay
from neuroprompt.program import Population
from neuroprompt.runtime import WORKERS


class SpikingJelly(OverlaidTarget):
    """IFNode, LIFNode where a node's neurons are alike, as SpikingJelly has them; CUBALIFNode for all others.

    IFNode: v = v + x. LIFNode without decay_input: v = v + (v_reset - v) / tau + x, tau = 1 / dv, x = a - v_reset dv
    because it leaks towards v_reset. CUBALIFNode: c = c c_decay + x; v = v v_decay + c, with c_decay = 1 - du and
    v_decay = 1 - dv. All: spike if v >= v_threshold, which is the next number above vth; v = v_reset on spike.

    A bias is added to x; beside a current with memory, that current is a CUBALIFNode of its own with v_decay = 0. What
    never fires has v_threshold = inf. Nothing is refused. The package's other requirements (torchaudio, tensorboard)
    serve no neuron and are not installed.
    """

    about = "SpikingJelly's neurons in float64, in packages of its own"
    runtime = Overlay("spikingjelly", WORKERS / "spikingjelly.txt")

    def check(self, population: Population) -> None:
        """SpikingJelly's neurons can do whatever a population does."""
