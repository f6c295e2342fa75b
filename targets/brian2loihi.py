"""Brian2Loihi, an emulator of Loihi 1 in Brian, with the integers of the fixed program, in a Python 3.10 of its own."""

from __future__ import annotations

import numpy as np

from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import Unsupported
from neuroprompt.loihi.arithmetic import simulate_sent
from neuroprompt.loihi.loihi1 import simulate_loihi1
from neuroprompt.simulators.chip_witness import ChipWitness
from neuroprompt.simulators.runtime import WORKERS, Runtime
from neuroprompt.spiking.program import Program


class Brian2Loihi(ChipWitness):
    """Populations are LoihiNeuronGroups, projections LoihiSynapses with their own delays; lines a spike generator.

    decay_I = du + 1, decay_v = dv, threshold_v_mant = vth, w = weights, w_exp = exponent; a refractory period of 1, and
    of 2 where the population holds. Published with Michaelis, Lehr, Oed and Tetzlaff, Front. Neuroinform. 16, 2022.

    It has no ends of ranges: u never wraps, and v is never clipped. A weight of -256 at exponent 7 is clipped by 64.

    Refused: biases and currents, which it does not have, decays or thresholds that differ from neuron to neuron, and
    numbers on the lines.
    """

    about = "Brian2Loihi's emulator of Loihi 1, with the program's integers, in its own Python 3.10"
    runtime = Runtime("brian2loihi", "3.10", WORKERS / "brian2loihi.txt")
    package = "brian2-loihi"
    worker = "brian2loihi_chip.py"

    def check_rules(self, program: Program, sent: Floats) -> None:
        """Raises Unsupported, naming the node, where a state leaves its range, by the rules of either chip."""
        for traces in (simulate_loihi1(program, sent), simulate_sent(program, sent)):
            for name, trace in traces.items():
                if trace.wrapped or trace.clipped:
                    got = f"sums, u or v of node {name!r} leave the chip's range"
                    raise Unsupported(got, "states within it: Brian2Loihi has no ends", "run it on nengo-loihi")

    def check(self, program: Program) -> None:
        """Raises Unsupported, naming the node."""
        super().check(program)
        for p in program.populations:
            if np.any(p.bias) or any(values.any() for _, values in p.currents):
                got = f"node {p.name!r} has a bias or a current"
                raise Unsupported(got, "none, as in Brian2Loihi", "run it on nengo-loihi, or on Lava")
            for value, what in ((p.du, "synaptic decay"), (p.dv, "leak"), (p.vth, "threshold")):
                if np.unique(value).size > 1:
                    got = f"node {p.name!r} has more than one {what}"
                    raise Unsupported(
                        got, "one for all neurons, as in Brian2Loihi", "run it on nengo-loihi, or on Lava"
                    )
