"""SynSense's own bit-exact simulator of Xylo, xylosim, with the integers that our emulator of Xylo has."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.side_packages import SidePackages
from neuroprompt.simulators.xylo_target import XyloTarget
from neuroprompt.spiking.program import Program
from neuroprompt.xylo.arithmetic import Trace


class XyloSim(XyloTarget, OwnRuntimeTarget):
    """One XyloLayer of its module v2 (XyloAudio 2): hidden neurons, readouts, and synapses with the shifts of a fit.

    xylosim 0.1.3 states no licence, so it is never shipped: your own command fetches its source, and builds it with
    your C++ compiler.
    """

    about = "xylosim, SynSense's bit-exact simulator of Xylo, with the integers of the emulator"
    runtime = SidePackages("xylosim", WORKERS / "xylosim.txt")

    def traces(self, program: Program, sent: NDArray[Any]) -> Mapping[str, Trace]:
        """All items one after the other, in one child; raises RuntimeMissing, WorkerFailed."""
        with tempfile.TemporaryDirectory(prefix="np-") as name:
            folder = Path(name)
            (folder / "program.npz").write_bytes(program.to_bytes())
            np.save(folder / "inputs.npy", sent, allow_pickle=False)
            arguments = [str(self.runtime.folder), str(WORKERS / "xylosim_chip.py"), name]
            self.runtime.run(WORKERS / "side_packages.py", arguments, self.time_limit)
            with np.load(folder / "recorded.npz", allow_pickle=False) as file:
                return {
                    p.name: Trace(*(file[f"{kind}.{p.name}"] for kind in ("counts", "i", "v")))
                    for p in program.populations
                }
