"""The float program on real SpikingJelly neurons, in float64, in an overlay of their own."""

from __future__ import annotations

from neuroprompt.simulators.in_process import check_late
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.side_packages import SidePackages, SidePackagesTarget
from neuroprompt.spiking.program import Population


class SpikingJelly(SidePackagesTarget):
    """CUBALIFNode with c_decay = 1 - du and v_decay = 1 - dv: c = c c_decay + x; v = v v_decay + c.

    Spike if v >= v_threshold, which is therefore the next number above vth; v = v_reset on spike. It starts at v_reset;
    here at 0. IFNode and LIFNode without decay_input are its special cases c_decay = 0, but they take one threshold for
    a layer, LIFNode leaks towards v_reset, and its 1 / tau rounds. A bias is added to x; beside a current with memory,
    that current is a node of its own with v_decay = 0. What never fires has v_threshold = inf. With v_reset = None it
    subtracts v_threshold. Refused: a reset that subtracts in the next step.

    What else the package requires (torchaudio, tensorboard) serves no neuron and is not installed.
    """

    about = "SpikingJelly's neurons in float64, in its own packages"
    runtime = SidePackages("spikingjelly", WORKERS / "spikingjelly.txt")
    needs = ("torch",)

    def check(self, population: Population) -> None:
        """Raises Unsupported for a reset that subtracts in the next step."""
        check_late(population, "SpikingJelly")
