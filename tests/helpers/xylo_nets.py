"""Nets for Xylo: random integers of all that the chip holds, and graphs of neurons that fit it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
from scipy.sparse import csr_matrix

from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.time_step import DT_SECONDS
from neuroprompt.spiking.weights import Weights
from neuroprompt.xylo.arithmetic import READOUTS
from neuroprompt.xylo.mapping import scheduled

STEPS = 40


def integers(seed: int) -> Program:
    """Two or three populations of 1 to 30 neurons, perhaps recurrent, perhaps with readouts; each number is any."""
    rng = np.random.default_rng(seed)
    ends = rng.random() < 0.7
    sizes = [int(rng.integers(1, 17)), *rng.integers(1, 31, 2).tolist(), *([int(rng.integers(1, READOUTS + 1))] * ends)]
    names = ["input", *(f"p{i}" for i in range(1, len(sizes)))]
    of_inputs, of_hidden, of_readouts = rng.integers(0, 8, 3).tolist()
    populations, projections = [], []
    for i, ((before, name), (lines, n)) in enumerate(zip(pairwise(names), pairwise(sizes), strict=True)):
        readout = ends and i == len(sizes) - 2
        populations.append(
            Population(
                name,
                n,
                du=rng.integers(0, 16, n),
                dv=rng.integers(0, 16, n),
                vth=np.rint(2 ** rng.uniform(0, 14.9, n)).astype(np.int64),
                bias=rng.integers(-128, 128, n).astype(np.int32) * (rng.random() < 0.3),
                reset="subtract",
            )
        )
        weights: Any = rng.integers(-128 if rng.random() < 0.5 else -20, 128, (n, lines)) * (
            rng.random((n, lines)) < 0.7
        )
        weights = csr_matrix(weights) if rng.random() < 0.3 else weights
        shift = of_readouts if readout else of_hidden if i else of_inputs
        projections.append(Projection(before, name, Weights(weights), exponent=shift))
        if not readout and rng.random() < 0.5:
            back: Any = rng.integers(-128, 128, n if rng.random() < 0.5 else (n, n))
            projections.append(Projection(name, name, Weights(back), lag=1, exponent=of_hidden))
    return scheduled(Program("fixed", STEPS, sizes[0], tuple(populations), tuple(projections), chip="xylo"))


def halving(n: int, tau_syn: float = 2, tau_mem: float = 4, vth: float = 1.0, **other: Any) -> nir.CubaLIF:
    """n CubaLIF, their time constants in steps, in which an input of 1 adds 1 to the current and that to v."""
    ones = np.ones(n)
    numbers: dict[str, Any] = {"v_leak": 0 * ones, "v_reset": 0 * ones, "v_threshold": vth * ones} | other
    taus = {"tau_syn": tau_syn * DT_SECONDS * ones, "tau_mem": tau_mem * DT_SECONDS * ones}
    return nir.CubaLIF(**taus, r=tau_mem * ones, w_in=tau_syn * ones, **numbers)


def chain(*nodes: Any, lines: int = 4, reset: str = "subtract") -> nir.NIRGraph:
    """The nodes n0, n1, ... behind `lines` input lines."""
    named: dict[str, Any] = {"input": nir.Input({"input": np.array([lines])})}
    named |= {f"n{i}": node for i, node in enumerate(nodes)}
    named["output"] = nir.Output({"output": None})
    metadata = {"dt": DT_SECONDS, "reset": reset}
    return nir.NIRGraph(named, list(pairwise(named)), metadata=metadata, type_check=False)


def layered(seed: int, lines: int = 8) -> nir.NIRGraph:
    """Two layers of such neurons, drawn from `seed`, of which the first perhaps drives itself."""
    rng = np.random.default_rng(seed)
    hidden, last = int(rng.integers(5, 25)), int(rng.integers(2, 12))
    taus = 2.0 ** rng.integers(1, 5, 4)
    graph = chain(
        nir.Linear(rng.normal(0.1, 0.4, (hidden, lines))),
        halving(hidden, taus[0], taus[1], vth=float(rng.uniform(1, 3))),
        nir.Linear(rng.normal(0.1, 0.4, (last, hidden))),
        halving(last, taus[2], taus[3], vth=float(rng.uniform(1, 4))),
        lines=lines,
    )
    if rng.random() < 0.5:
        graph.nodes["back"] = nir.Linear(rng.normal(0, 0.1, (hidden, hidden)))
        graph.edges += [("n1", "back"), ("back", "n1")]
    return graph
