"""SANA-FE's simulator of a Loihi 1: the integers of the fixed program, and its own estimate of joules and seconds."""

from __future__ import annotations

import json

import numpy as np

from neuroprompt.compiler.mapping import mapped
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import Unsupported
from neuroprompt.loihi.arithmetic import DECAY_ONE, SHIFT, simulate_sent
from neuroprompt.simulators.chip_witness import ChipWitness
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.side_packages import SidePackages
from neuroprompt.spiking.program import Population, Program


class Sanafe(ChipWitness):
    """Neurons are placed on cores as `neuroprompt.compiler.mapping` does; input lines take cores of their own.

    Its neurons count in weights, in 64ths: threshold vth, leak (4096 - dv) / 4096, weights times 2^exponent, biases;
    all of it is exact in floats. Its recording has `cost`: joules by part and the seconds of a run, as SANA-FE gives
    them with its own model of the chip (its license is GPL-3.0, and nothing of it is part of neuroprompt).

    Refused: currents with memory, which it does not round; delays; currents from the host; a bias that would make its
    neuron fire before the first input comes.
    """

    about = "SANA-FE's simulator of Loihi 1, with its own joules and seconds"
    runtime = SidePackages("sanafe", WORKERS / "sanafe.txt")
    worker = "sanafe_chip.py"

    def check(self, program: Program) -> None:
        """Raises Unsupported, naming the node."""
        super().check(program)
        for p in program.populations:
            if np.any(np.asarray(p.du) != DECAY_ONE - 1):
                got = f"node {p.name!r} has a synaptic current with memory, which SANA-FE does not round"
                raise Unsupported(got, "IF or LIF", "run it on the emulator, or on nengo-loihi")
            if p.currents:
                got = f"node {p.name!r} gets a current from the host"
                raise Unsupported(got, "biases and spikes", "run it on the emulator, or on nengo-loihi")
            if _fires_before(p):
                got = f"a bias of node {p.name!r} would make it fire before its inputs come"
                raise Unsupported(got, "smaller biases, or none", "run it on the emulator, or on Lava")
        for q in program.projections:
            if q.delay:
                got = f"spikes from {q.source!r} to {q.target!r} wait {q.delay} chip steps"
                raise Unsupported(got, "no delays", "run it on the emulator, or on nengo-loihi")

    def beside(self, program: Program, sent: Floats) -> dict[str, str]:
        """Where the neurons are; raises Unsupported where they do not fit one chip."""
        spikes = {name: trace.spikes for name, trace in simulate_sent(program, sent, states=False).items()}
        placement = mapped(program, spikes | {"input": sent})
        if placement.too_large or not placement.lines:
            got = placement.too_large[0] if placement.too_large else "no core is left for the input lines"
            raise Unsupported(got, "a net that fits one Loihi 1")
        return {"placement": json.dumps(placement.json())}


def _fires_before(p: Population) -> bool:
    """Whether the potential that its bias needs at the start passes the threshold in a step before `depth`."""
    size = (p.size,)
    keeps = DECAY_ONE - np.broadcast_to(np.asarray(p.dv, np.int64), size)
    threshold = np.broadcast_to(np.asarray(p.vth, np.int64), size) << SHIFT
    bias = np.asarray(p.bias, np.int64) << SHIFT
    v = np.zeros(size, np.int64)
    for _ in range(p.depth - 1):
        v = v - bias
        v = np.sign(v) * -(-np.abs(v) * DECAY_ONE // keeps)
        if p.emits == "spikes" and np.any(v > threshold):
            return True
    return False
