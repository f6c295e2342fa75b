"""Intel's Lava simulator of Loihi 2, the real lava-nc, in a Python 3.10 of its own."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.schedule import check_chip, check_reset
from neuroprompt.contracts.deployment import Recording
from neuroprompt.errors import Unsupported
from neuroprompt.simulators.in_process import check_hold, recording
from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.simulators.runtime import WORKERS, Runtime
from neuroprompt.simulators.staying import ask
from neuroprompt.spiking.program import Program, SpikingModel

AT_ONCE = 64
"""Items of one time limit, and of which the worker keeps what is recorded."""


class Lava(OwnRuntimeTarget):
    """Stock LIF and Dense processes: "float" is Lava's `floating_pt`, "fixed" its bit-accurate `fixed_pt`.

    A run hands a folder to a worker in the runtime and gets one back. The worker of a program stays, with Lava's
    processes compiled and started, and runs items in turn, each from rest.
    """

    about = "Intel's Lava simulator of Loihi 2 (lava-nc), in its own Python 3.10"
    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("float", "fixed")
    runtime = Runtime("lava", "3.10", WORKERS / "lava.txt")
    package = "lava-nc"

    def refuse(self, program: Program) -> None:
        """What Loihi's neurons, or Lava's of them, cannot do; raises Unsupported."""
        check_chip(program)
        check_reset(program, "Lava's LIF")
        for p in program.populations:
            if p.hold and np.ndim(p.dv):
                got = f"node {p.name!r} rests in the step after a spike, with leaks that differ from neuron to neuron"
                raise Unsupported(got, "one leak for all of them, as Lava's LIFRefractory has it")

    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """Run `model` on each of `inputs` (B, T, n_in); u and v are those after the reset of each step.

        Raises what Program.encode raises, and Unsupported, naming the node, for what Loihi's neurons cannot do.
        """
        program = model.program(precision)
        self.refuse(program)
        if precision == "fixed":
            check_hold(program)  # Lava's LIFRefractory has a float model only
            if program.chip == "loihi1":
                raise Unsupported("a program for Loihi 1", "one for Loihi 2, the chip that Lava simulates")
        program.encode(inputs)  # refuses in this process what the worker would refuse in its own
        parts = (inputs[i : i + AT_ONCE] for i in range(0, len(inputs), AT_ONCE))
        return Recording.joined([self._run_part(program, part, states) for part in parts])

    def _run_part(self, program: Program, inputs: NDArray[Any], states: bool) -> Recording:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="np-") as name:
            folder = Path(name)
            np.save(folder / "inputs.npy", inputs, allow_pickle=False)
            options = [program.precision, *(["--states"] if states else [])]
            ask(
                self.runtime,
                WORKERS / "stay_lava.py",
                program,
                options,
                folder=folder,
                timeout=self.time_limit,
            )
            with np.load(folder / "spikes.npz", allow_pickle=False) as file:
                traces = {name: file[name] for name in file.files}
        return recording(program, traces, time.perf_counter() - start, states)
