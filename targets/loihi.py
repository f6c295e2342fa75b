"""Our own Loihi emulator: the integer arithmetic of Lava 0.10.0 in numpy, in process; bit for bit, and float too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.schedule import check_chip
from neuroprompt.contracts.deployment import Availability, Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.loihi.arithmetic import simulate_sent
from neuroprompt.loihi.loihi1 import simulate_loihi1, stacked
from neuroprompt.loihi.ranges import check_range
from neuroprompt.loihi.synapses import Product
from neuroprompt.simulators.in_process import recording
from neuroprompt.simulators.products import products, threads
from neuroprompt.spiking.program import Program, Projection, SpikingModel

CELLS = 2**23
"""Steps times lines, or neurons, of all items above which threads share them."""
AT_ONCE = 4
"""Threads at most: Python's lock is taken in every step."""


class Loihi(SpikingTarget):
    """Populations and projections by the rules of `neuroprompt.loihi.arithmetic`.

    "fixed": the chip's integers, weights out of range are refused, never clipped; those of Loihi 1 where the program
    is for it (`neuroprompt.loihi.loihi1`). "float": Lava's float rule.
    """

    about = "Loihi emulator in numpy, bit-exact with Lava's fixed-point simulator"
    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("float", "fixed")

    @classmethod
    def available(cls) -> Availability:
        """Always: numpy is all it needs."""
        return Availability(True, "in process", f"numpy {version('numpy')}")

    def refuse(self, program: Program) -> None:
        """What Loihi's neurons cannot do; raises Unsupported."""
        check_chip(program)

    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """All items of `inputs` (B, T, n_in) in one product a layer, as many at a time as stay near the processor.

        Raises Unsupported, and OutOfRange for integers that do not fit.
        """
        program = model.program(precision)
        self.refuse(program)
        if precision == "fixed":
            check_range(program)
            if program.chip == "loihi1" and program.input_scale:
                got = "numbers on the input lines of a Loihi 1"
                raise Unsupported(got, "spikes, all that it sends", "use --chip loihi2, or send spikes (--encode)")
        start = time.perf_counter()
        sent = program.encode(inputs)
        widest = max(program.inputs, *(p.size for p in program.populations))
        faster = products(program, model.graph, len(sent) * program.steps)
        # Parts write their spikes here: joining them took a quarter of a convolutional net's time.
        firing = [p for p in program.populations if p.emits == "spikes"]
        spikes = {p.name: np.empty((*sent.shape[:2], p.size), bool) for p in firing}

        def part(items: slice) -> Recording:
            own = {name: array[items] for name, array in spikes.items()}
            return replace(_run(program, sent[items], states, faster, own), spikes={})

        parts = _in_threads(part, len(sent), len(sent) * program.steps * widest)
        return replace(Recording.joined(parts), spikes=spikes, seconds=time.perf_counter() - start, sent=sent)


def _in_threads(run: Callable[[slice], Recording], items: int, cells: int) -> list[Recording]:
    """What `run` gives of all items, in order: in one part, or in a part for every thread.

    numpy and ONNX Runtime let go of Python's lock while they work.
    """
    count = min(items, AT_ONCE, threads() or os.cpu_count() or 1)
    if count == 1 or cells <= CELLS:
        return [run(slice(None))]
    ends = [items * i // count for i in range(count + 1)]
    pool = ThreadPoolExecutor(count)
    try:
        return list(pool.map(run, (slice(*pair) for pair in pairwise(ends))))
    finally:
        pool.shutdown(cancel_futures=True)


def _run(
    program: Program,
    sent: NDArray[Any],
    states: bool,
    faster: Mapping[Projection, Product],
    spikes: dict[str, NDArray[np.bool_]],
) -> Recording:
    """The runs of `sent`, whose spikes go to `spikes`."""
    start = time.perf_counter()
    if program.precision == "fixed" and program.chip == "loihi1":
        traces = stacked([simulate_loihi1(program, item) for item in sent])
        for name, array in spikes.items():
            array[...] = traces[name].spikes
    else:
        traces = simulate_sent(program, sent, states, products=faster, spikes=spikes)
    recorded = {f"{kind}.{name}": getattr(t, kind) for name, t in traces.items() for kind in ("spikes", "u", "v")}
    return recording(program, recorded, time.perf_counter() - start, states)
