"""What targets of lava-dl share: a network as a `.net` file, loaded and run by lava-dl's netx in its own runtime."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.quantise import quantise
from neuroprompt.compiler.schedule import check_chip
from neuroprompt.contracts.deployment import Floats, Recording, Spikes
from neuroprompt.errors import Unsupported
from neuroprompt.simulators.netx import to_netx
from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.staying import ask
from neuroprompt.spiking.program import Program, SpikingModel, is_spikes

AT_ONCE = 64
"""Items of one time limit."""


class NetxTarget(OwnRuntimeTarget):
    """The integers of a program as HDF5, read by lava.lib.dl.netx.hdf5.Network, run on Lava's bit-accurate simulator.

    Netx makes of each layer a Dense and a LIF: du = iDecay - 1, dv = vDecay, vth = vThMant, weights brought to the
    exponent that keeps most of their bits. Every layer costs a step, which is taken out and told as the delay.
    What netx cannot hold is refused by node (neuroprompt/netx.py), and inputs that are no spikes.
    """

    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("fixed",)

    def refuse(self, program: Program) -> None:
        """What netx cannot hold, in integers fitted on random spikes; raises Unsupported."""
        to_netx(quantise(program)[0])

    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """Run the integers on spikes (B, T, n_in); states are not kept. Raises Unsupported, WorkerFailed."""
        if precision != "fixed":
            raise Unsupported(f"precision {precision!r}", '"fixed", the integers of netx')
        program = model.program(precision)
        check_chip(program)
        net = to_netx(program)
        program.encode(inputs)
        start = time.perf_counter()
        parts = [
            self.run_net(net, inputs[i : i + AT_ONCE], program.steps + program.depth)
            for i in range(0, len(inputs), AT_ONCE)
        ]
        layers = [np.concatenate(layer) for layer in zip(*parts, strict=True)]
        by_population = zip(program.populations, layers, strict=True)
        return Recording(
            spikes={p.name: spikes[:, p.depth : p.depth + program.steps] for p, spikes in by_population},
            seconds=time.perf_counter() - start,
            delay={p.name: p.depth for p in program.populations},
        )

    def run_net(self, net: bytes, inputs: Floats, steps: int) -> list[Spikes]:
        """What each layer of a `.net` file sends in `steps` chip steps, (B, steps, ...), for input spikes (B, T, n_in).

        The first input meets the first layer in chip step 1, counted from 0. Raises RuntimeMissing, WorkerFailed.
        """
        if not is_spikes(inputs):
            raise Unsupported("inputs with values other than 0 and 1", "spikes, netx's only input here")
        with tempfile.TemporaryDirectory(prefix="np-") as name:
            folder = Path(name)
            np.save(folder / "inputs.npy", inputs.astype(bool), allow_pickle=False)
            ask(self.runtime, WORKERS / "run_netx.py", net, [str(steps)], folder=folder, timeout=self.time_limit)
            with np.load(folder / "recorded.npz", allow_pickle=False) as file:
                return [file[f"layer{i}"] for i in range(len(file.files))]
