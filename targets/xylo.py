"""Our own emulator of Xylo: the integers of SynSense's XyloAudio 2 in numpy, in process; bit for bit xylosim's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Availability
from neuroprompt.simulators.xylo_target import XyloTarget
from neuroprompt.spiking.program import Program
from neuroprompt.xylo.arithmetic import Trace, simulate


class Xylo(XyloTarget):
    """Populations and projections by the rules of `neuroprompt.xylo.arithmetic`.

    What fits: CubaLIF whose reset subtracts in the step of the spike (`--reset subtract`), with time constants of 2^k
    steps, and neurons that a constant current alone drives. Limits and their sources: `neuroprompt.xylo.mapping`.
    """

    about = "Xylo emulator in numpy, bit-exact with xylosim"

    @classmethod
    def available(cls) -> Availability:
        """Always: numpy is all it needs."""
        return Availability(True, "in process", f"numpy {version('numpy')}")

    def traces(self, program: Program, sent: NDArray[Any]) -> Mapping[str, Trace]:
        """All items side by side."""
        return simulate(program, sent)
