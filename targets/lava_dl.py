"""lava-dl's netx: a network as its `.net` file, loaded and run by lava-dl 0.6.0 itself, in a Python 3.10 of its own."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from neuroprompt.compiler.quantise import quantise
from neuroprompt.compiler.schedule import check_chip
from neuroprompt.contracts import Availability, Floats, Recording, Spikes, SpikingTarget
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.netx import to_netx
from neuroprompt.program import Model, Program, is_spikes
from neuroprompt.runtime import WORKERS, Runtime

RUNTIME = Runtime("lava-dl", "3.10", WORKERS / "lava_dl.txt", whole=False)
VERSION = next(line for line in RUNTIME.requirements.read_text().split() if line.startswith("lava-dl=="))
INSTALL = "neuroprompt targets install lava-dl"


class LavaDl(SpikingTarget):
    """The integers of a program as HDF5, read by lava.lib.dl.netx.hdf5.Network, run on Lava's bit-accurate simulator.

    Netx makes of each layer a Dense and a LIF: du = iDecay - 1, dv = vDecay, vth = vThMant, weights brought to the
    exponent that keeps most of their bits. Every layer costs a step, which is taken out and told as the delay.

    What netx cannot hold is refused by node (neuroprompt/netx.py), and inputs that are no spikes. The runtime has no
    torch, 5 GB with what it needs, which netx imports for its sequential modules and RF neurons alone.
    """

    about = "lava-dl's netx on Intel's Lava simulator, in its own Python 3.10"
    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("fixed",)

    def __init__(self, time_limit: float = 600.0) -> None:
        if not time_limit > 0:
            raise BadSetting(f"time_limit {time_limit}", "seconds above 0")
        self.time_limit = time_limit

    @classmethod
    def available(cls) -> Availability:
        """Whether the runtime is built; if not, what to type."""
        how, version = f"a runtime of its own (Python {RUNTIME.python})", VERSION.replace("==", " ")
        return Availability(RUNTIME.built, how, version, "" if RUNTIME.built else f"run '{INSTALL}'")

    @classmethod
    def install(cls) -> None:
        """Build the runtime, some seconds and 400 MB; raises RuntimeMissing."""
        RUNTIME.build()

    def refuse(self, program: Program) -> None:
        """What netx cannot hold, in integers fitted on random spikes; raises Unsupported."""
        to_netx(quantise(program)[0])

    def run(self, model: Model, inputs: Floats, precision: str = "fixed", states: bool = False) -> Recording:
        """Run the integers on spikes (T, n_in) from rest; states are not kept. Raises Unsupported, WorkerFailed."""
        if precision != "fixed":
            raise Unsupported(f"precision {precision!r}", '"fixed", the integers of netx')
        program = model.program(precision)
        check_chip(program)
        net = to_netx(program)
        program.encode(inputs)
        start = time.perf_counter()
        layers = self.run_net(net, inputs, program.steps + program.depth)
        found = zip(program.populations, layers, strict=True)
        return Recording(
            spikes={p.name: spikes[p.depth : p.depth + program.steps] for p, spikes in found},
            seconds=time.perf_counter() - start,
            delay={p.name: p.depth for p in program.populations},
        )

    def run_net(self, net: bytes, inputs: Floats, steps: int) -> list[Spikes]:
        """What every layer of a `.net` file sends in `steps` chip steps, (steps, ...) each, for input spikes (T, n_in).

        The first input meets the first layer in chip step 1, counted from 0. Raises RuntimeMissing, WorkerFailed.
        """
        if not is_spikes(inputs):
            raise Unsupported("inputs with values other than 0 and 1", "spikes, netx's only input here")
        with tempfile.TemporaryDirectory(prefix="np-") as name:
            folder = Path(name)
            (folder / "network.net").write_bytes(net)
            np.save(folder / "inputs.npy", inputs.astype(bool), allow_pickle=False)
            files = [str(folder / file) for file in ("network.net", "inputs.npy", "found.npz")]
            RUNTIME.run(WORKERS / "run_netx.py", [*files[:2], str(steps), files[2]], self.time_limit)
            with np.load(files[2], allow_pickle=False) as file:
                return [file[f"layer{i}"] for i in range(len(file.files))]
