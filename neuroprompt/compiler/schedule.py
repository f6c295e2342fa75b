"""Schedule: on the chip every projection costs a step; depths and delays that bring every spike in on time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import Program

LONGEST = 63
"""Steps that a synapse of Loihi 2 can add to its one (6 bits; Lava's DelayDense refuses more)."""


def schedule(program: Program) -> Program:
    """The program with the depth of every population and the delay of every projection.

    A spike of step s leaves a source of depth d at chip step s + d and arrives 1 + delay later; it is wanted at chip
    step (s + lag) + d' of the target:

        delay = lag + d' - d - 1 >= 0,   so   d' >= d + 1 - lag

    The smallest depths that satisfy all of it are the longest paths; a cycle with a lag on every edge never lengthens
    one. Where a Delay makes a cycle shorter than that no depth satisfies it, and some delays are -1.
    """
    depths = {"input": 0} | {p.name: 0 for p in program.populations}
    for _ in range(len(depths) + 1):
        before = dict(depths)
        for q in program.projections:
            depths[q.target] = max(depths[q.target], depths[q.source] + 1 - q.lag)
        if depths == before:
            break
    else:  # a cycle shorter than its ways on the chip: told by `check_chip`, since only the chip minds
        depths = dict.fromkeys(depths, 0)
    projections = tuple(replace(q, delay=q.lag + depths[q.target] - depths[q.source] - 1) for q in program.projections)
    populations = tuple(replace(p, depth=depths[p.name]) for p in program.populations)
    return replace(program, populations=populations, projections=projections)


def check_reset(program: Program, who: str) -> None:
    """Raise Unsupported, naming the node, for a reset that subtracts, which the neurons of `who` do not have."""
    for p in program.populations:
        if p.reset != "value":
            got = f"node {p.name!r} subtracts its threshold at a spike"
            raise Unsupported(got, f"a reset to 0, the only one of {who}", "train with a reset to 0")


def check_chip(program: Program) -> None:
    """Raise Unsupported, naming the node, where a program holds what neurons of Loihi cannot do, float or fixed."""
    no_memory = 1 if program.precision == "float" else 4095
    graded = {p.name for p in program.populations if p.emits == "v"}
    for q in program.projections:
        if q.source in graded:
            got = f"node {q.source!r} sends its potential to {q.target!r}"
            raise Unsupported(got, "spikes between neurons", "make it an IF or LIF, or end the graph there")
        if q.delay < 0:
            got = f"spikes from {q.source!r} to {q.target!r} would have to arrive in the step in which they leave"
            raise Unsupported(got, "a step for every way in a cycle", "a longer Delay in the cycle")
        if q.delay > LONGEST:
            got = f"spikes from {q.source!r} to {q.target!r} would wait {q.delay} chip steps"
            raise Unsupported(got, f"at most {LONGEST}", "a shorter Delay, or a layer between that takes some of it")
    for p in program.populations:
        if np.any(np.asarray(p.v_reset) != 0):
            got = f"node {p.name!r} resets to {np.asarray(p.v_reset).flat[0]:g}"
            raise Unsupported(got, "v_reset = 0, the only one that Loihi has", "shift v_leak and v_threshold by it")
        if np.any(np.asarray(p.vth) < 0):
            got = f"node {p.name!r} has a threshold of {np.min(p.vth):g}"
            raise Unsupported(got, "at least 0, as Loihi has it", "raise v_threshold, or shift v_leak and it")
        if p.depth and np.any(p.bias) and np.any(np.asarray(p.du) != no_memory):
            got = f"node {p.name!r} has v_leak other than 0 behind a synaptic current with memory"
            raise Unsupported(
                got, "v_leak = 0: Loihi's own bias would begin before its inputs", "put it into the input"
            )
