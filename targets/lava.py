"""Intel's Lava simulator of Loihi 2, the real lava-nc, in a Python 3.10 of its own."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from neuroprompt.cells import recording
from neuroprompt.compiler.schedule import check_chip
from neuroprompt.contracts import Availability, Floats, Recording, SpikingTarget
from neuroprompt.errors import BadSetting
from neuroprompt.program import Model, Program
from neuroprompt.runtime import WORKERS, Runtime

RUNTIME = Runtime("lava", "3.10", WORKERS / "lava.txt")
LAVA = next(line for line in RUNTIME.requirements.read_text().split() if line.startswith("lava-nc=="))
INSTALL = "neuroprompt targets install lava"


class Lava(SpikingTarget):
    """Stock LIF and Dense processes: "float" is Lava's `floating_pt`, "fixed" its bit-accurate `fixed_pt`.

    A run hands a folder to a worker in the runtime and gets one back; `time_limit` in seconds ends a run that hangs.
    """

    about = "Intel's Lava simulator of Loihi 2 (lava-nc), in its own Python 3.10"
    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("float", "fixed")

    def __init__(self, time_limit: float = 600.0) -> None:
        if not time_limit > 0:
            raise BadSetting(f"time_limit {time_limit}", "seconds above 0")
        self.time_limit = time_limit

    @classmethod
    def available(cls) -> Availability:
        """Whether the runtime is built; if not, what to type."""
        how, version = f"a runtime of its own (Python {RUNTIME.python})", LAVA.replace("==", " ")
        return Availability(RUNTIME.built, how, version, "" if RUNTIME.built else f"run '{INSTALL}'")

    @classmethod
    def install(cls) -> None:
        """Build the runtime, some seconds and 250 MB; raises RuntimeMissing."""
        RUNTIME.build()

    def refuse(self, program: Program) -> None:
        """What Loihi's neurons cannot do; raises Unsupported."""
        check_chip(program)

    def run(self, model: Model, inputs: Floats, precision: str, states: bool = False) -> Recording:
        """Run `model` on inputs (T, n_in) from rest; u and v are those after the reset of each step.

        Raises what Program.encode raises, and Unsupported, naming the node, for what Loihi's neurons cannot do.
        """
        program = model.program(precision)
        self.refuse(program)
        program.encode(inputs)  # refuses in this process what the worker would refuse in its own
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="np-") as name:
            folder = Path(name)
            (folder / "program.npz").write_bytes(program.to_bytes())
            np.save(folder / "inputs.npy", inputs, allow_pickle=False)
            arguments = ["--precision", program.precision, "--program", str(folder / "program.npz")]
            arguments += ["--inputs", str(folder / "inputs.npy"), "--out", str(folder / "spikes.npz")]
            RUNTIME.run(WORKERS / "run_lava.py", [*arguments, *(["--states"] if states else [])], self.time_limit)
            with np.load(folder / "spikes.npz", allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
        return recording(program, found, time.perf_counter() - start, states)
