"""Chains of one neuron and line, and the steps in which it fires, on a target and on the reference."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np

from neuroprompt.compiler.compile import floats_of_graph
from neuroprompt.contracts.deployment import SpikingTarget

DT = 1e-4


def chain(*nodes: Any, size: int = 1, **metadata: Any) -> nir.NIRGraph:
    """Input, the nodes, Output, each with one neuron and line unless `size` says more."""
    ends = nir.Input({"input": np.array([size])}), nir.Output({"output": np.array([size])})
    named = {"input": ends[0]} | {f"n{i}": node for i, node in enumerate(nodes)} | {"output": ends[1]}
    names = list(named)
    return nir.NIRGraph(named, list(pairwise(names)), metadata=metadata, type_check=False)


def if_node(r: float, size: int = 1) -> nir.IF:
    return nir.IF(r=np.full(size, r), v_threshold=np.ones(size), v_reset=np.zeros(size))


def lif_node(tau: float, r: float, threshold: float = 1.0, kind: type = np.float64) -> nir.LIF:
    values = {"tau": tau, "r": r, "v_leak": 0.0, "v_threshold": threshold, "v_reset": 0.0}
    return nir.LIF(**{key: np.full(1, value, kind) for key, value in values.items()})


def cuba_node(tau_syn: float, tau_mem: float, r: float, w_in: float) -> nir.CubaLIF:
    values = {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": r, "v_leak": 0.0, "v_threshold": 1.0, "w_in": w_in}
    return nir.CubaLIF(**{key: np.full(1, value) for key, value in values.items()})


def fired(graph: nir.NIRGraph, inputs: list[float], target: str = "loihi") -> list[int]:
    """The steps in which the only neuron fires, on a target and on the reference."""
    x = np.array(inputs)[:, None]
    model = floats_of_graph(graph, np.ones_like(x))
    spikes = [next(iter(SpikingTarget.named(n).run(model, x, "float").spikes.values())) for n in (target, "reference")]
    assert np.array_equal(spikes[0], spikes[1])
    return np.flatnonzero(spikes[0]).tolist()


# --- IF ---------------------------------------------------------------------------------------------------------------
