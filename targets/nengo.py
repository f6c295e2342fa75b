"""The float program as a network in nengo's simulator, with a neuron type of ours, in a package of its own."""

from __future__ import annotations

from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.side_packages import SidePackages, SidePackagesTarget
from neuroprompt.spiking.program import Population


class Nengo(SidePackagesTarget):
    """One nengo.Network run by nengo.Simulator with dt = 1; its connections, delays and order of steps are nengo's own.

    The neurons are a NeuronType of ours, for none of nengo's is NIR's: LIF, v = v + (J - v)(1 - exp(-dt / tau)), always
    leaks, with threshold 1 and reset 0; SpikingRectifiedLinear cuts J at 0 and subtracts at reset. Connections run from
    neurons to neurons, with synapse None within a step, and a synapse 0 for every step of lag. Nothing is refused.

    It is not among our packages because nengo 4.1 brings a pytest plugin that pytest 9 does not load.
    """

    about = "nengo's simulator in float64, with a neuron type of ours"
    runtime = SidePackages("nengo", WORKERS / "nengo.txt")

    def check(self, population: Population) -> None:
        """The neuron type is the definition of a population."""
