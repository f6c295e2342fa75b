"""Place: how much of Loihi 2 a program takes, against the limits that Intel has published; a report, not a mapping."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from neuroprompt.compiler.stored import stored
from neuroprompt.spiking.program import Population, Program

SOURCE = "Intel Labs, Taking Neuromorphic Computing to the Next Level with Loihi 2, technology brief, 2021, table 1"
CORES, NEURONS, SYNAPSES, CORE_BYTES = 128, 2**20, 120_000_000, 192 * 1024
A_CORE = NEURONS // CORES
"""A million neurons on 128 cores."""


def place(program: Program) -> dict[str, Any]:
    """Neurons, synapses and the least cores of every population, their sums, and what of it is too large.

    least cores = max(neurons / 8192, bytes of incoming weights / 192 KiB), rounded up

    of a population, and of their sums: populations may share a core. That is with one byte a weight and nothing for
    indices, axons and states, whose sizes are not published: so the real number is larger where synapses decide.
    Weights of a convolution count once, as axons of a Loihi 1 can share them ("stored"); how Loihi 2 keeps a
    convolution is not published. "too_large" names what does not fit one chip, and what would have to change; "left"
    is what it leaves of one (below 0: what is missing). "profiles" counts pairs of decays in a population: Lava's
    documented LIF has one, its simulator takes many.
    """
    parts = {p.name: _part(program, p) for p in program.populations}
    total = {key: sum(part[key] for part in parts.values()) for key in ("neurons", "synapses")}
    total["cores"] = _cores(total["neurons"], sum(part["stored"] for part in parts.values()))
    return {
        "populations": parts,
        **total,
        "chip": {"cores": CORES, "neurons": NEURONS, "synapses": SYNAPSES, "core_bytes": CORE_BYTES, "source": SOURCE},
        "left": {"cores": CORES - total["cores"], "synapses": SYNAPSES - total["synapses"]},
        "latency_steps": program.depth,
        "too_large": _too_large(parts, total),
    }


def _part(program: Program, population: Population) -> dict[str, int]:
    into = program.into(population.name)
    synapses = sum(int(np.count_nonzero(q.weights.values)) for q in into)
    kept = sum(stored(q.weights.nonzero(), None) for q in into)
    decays = np.broadcast_arrays(np.atleast_1d(population.du), np.atleast_1d(population.dv))
    return {
        "neurons": population.size,
        "synapses": synapses,
        "stored": kept,
        "cores": _cores(population.size, kept),
        "profiles": len(np.unique(np.stack(decays), axis=1).T),
    }


def _cores(neurons: int, weight_bytes: int) -> int:
    return max(ceil(neurons / A_CORE), ceil(weight_bytes / CORE_BYTES))


def _too_large(parts: dict[str, dict[str, int]], total: dict[str, int]) -> list[str]:
    limits = (("neurons", NEURONS, "fewer neurons"), ("synapses", SYNAPSES, "fewer or sparser weights"))
    lines = []
    for key, most, change in (*limits, ("cores", CORES, "smaller layers, or several chips")):
        if total[key] > most:
            largest = max(parts, key=lambda name: parts[name][key])
            lines.append(
                f"{total[key]:,} {key}, more than the {most:,} of a chip; "
                f"node {largest!r} has most ({parts[largest][key]:,}); {change}"
            )
    return lines
