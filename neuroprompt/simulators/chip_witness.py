"""Other emulators of Loihi in packages of their own, which run the integers of a fixed program as they stand."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.schedule import check_chip, check_reset
from neuroprompt.contracts.deployment import Floats, Recording
from neuroprompt.errors import Unsupported
from neuroprompt.loihi.loihi1 import simulate_loihi1
from neuroprompt.loihi.ranges import check_range
from neuroprompt.simulators.in_process import recording
from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.spiking.program import Program, SpikingModel


class ChipWitness(OwnRuntimeTarget):
    """A second witness of the chip's integers: nothing is rescaled or rounded again, so any difference is one of rules.

    Its neurons are `neuroprompt/workers/NAME_chip.py`: `run(program, spikes)`, which gives spikes, u and v by name, and
    `cost` where the simulator has an estimate of its own.
    """

    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("fixed",)
    worker: ClassVar[str]

    def refuse(self, program: Program) -> None:
        """What Loihi's neurons cannot do; raises Unsupported."""
        check_chip(program)
        check_reset(program, "Loihi's neurons")

    def check(self, program: Program) -> None:
        """Raise Unsupported, naming the node, for what the emulator cannot do of a fixed program."""
        if program.input_scale:
            got = "numbers on the input lines"
            raise Unsupported(
                got, f"spikes, the only input of {self.runtime.name}", "send them as spikes (export --encode)"
            )

    def check_rules(self, program: Program, sent: Floats) -> None:
        """Raise Unsupported, naming the node, where spikes `sent` (T, n_in) lead to what it computes by other rules."""
        if program.chip == "loihi1":
            return
        for name, trace in simulate_loihi1(program, sent).items():
            if trace.wrapped:
                got = f"sums or currents of node {name!r} leave the range of Loihi 1 {trace.wrapped} times"
                raise Unsupported(got, "a range that both chips have", "--chip loihi1 computes as Loihi 1 does")

    def beside(self, program: Program, sent: Floats) -> dict[str, str]:
        """What its worker is to know beside the program, as JSON by key; `sent` are the spikes of the first run."""
        return {}

    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """Run the integers on `inputs` (B, T, n_in) in one child; raises Unsupported, OutOfRange, RuntimeMissing."""
        if precision != "fixed":
            raise Unsupported(f"precision {precision!r} for {self.runtime.name}", "fixed, the chip's integers")
        program = model.program("fixed")
        self.refuse(program)
        self.check(program)
        check_range(program)
        sent = program.encode(inputs)
        for each in sent:
            self.check_rules(program, each)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="np-") as name:
            folder = Path(name)
            (folder / "program.npz").write_bytes(program.to_bytes())
            np.save(folder / "inputs.npy", sent, allow_pickle=False)
            for key, text in self.beside(program, sent[0]).items():
                (folder / f"{key}.json").write_text(text)
            arguments = [str(self.runtime.folder), str(WORKERS / self.worker), name]
            self.runtime.run(WORKERS / "side_packages.py", arguments, self.time_limit)
            with np.load(folder / "recorded.npz", allow_pickle=False) as file:
                traces = {key: file[key] for key in file.files}
        cost = {key.removeprefix("cost."): values for key, values in traces.items() if key.startswith("cost.")}
        return replace(recording(program, traces, time.perf_counter() - start, states), cost=cost)
