"""nengo-loihi's emulator of Loihi 1, which its authors tested on silicon, with the integers of the fixed program."""

from __future__ import annotations

from neuroprompt.errors import Unsupported
from neuroprompt.simulators.chip_witness import ChipWitness
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.side_packages import SidePackages
from neuroprompt.spiking.program import Program


class NengoLoihi(ChipWitness):
    """Populations are LoihiBlocks, projections Synapses and Axons; weights, decays, thresholds and biases are set.

    decay_u = du, decay_v = dv, vth << 6, weights << (6 + exponent); v from -(2^23 - 1) to 2^23 - 1; a refractory delay
    of 1 step, and of 2 where the population holds. A projection takes one step, as in Lava; its delay is a chain of
    relay neurons, since this emulator has none. Currents, and a bias behind a projection, come from the host.

    Three rules differ from Lava's. Our emulator has them with `--chip loihi1`; a program for Loihi 2 is refused, naming
    the node, where one of them would matter:

        sums of a step wrap at 21 bits and a sign, after the shift by 6: at 2^15 weight units (Lava: no such limit)
        u wraps where it reaches 2^23 (Lava: where it is larger)
        u + bias wraps at 24 bits before it is added to v (Lava: only u does)

    Refused: numbers on the lines, and a current into a population that nothing is in front of from step 0 on, which the
    host would have to send before the run.
    """

    about = "nengo-loihi's emulator of Loihi 1, with the program's integers"
    runtime = SidePackages("nengo-loihi", WORKERS / "nengo_loihi.txt")
    worker = "nengo_loihi_chip.py"

    def check(self, program: Program) -> None:
        """Raises Unsupported, naming the node."""
        super().check(program)
        for p in program.populations:
            if not p.depth and any(onset == 0 and values.any() for onset, values in p.currents):
                got = f"node {p.name!r} gets a current from the first step on, which the host sends too late"
                raise Unsupported(got, "a bias (v_leak), or inputs", "run it on the emulator, or on Lava")
