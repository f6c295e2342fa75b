"""Run a float program step by step with the neurons of any library; needs numpy alone, so that any runtime can.

In step t of the NIR graph, population by population in the program's order (no chip delays here):

    a[t] = sum over projections W x_source[t - lag]  +  sum of the currents whose onset is at most t
    out[t], v[t] = neurons(a[t])
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[Any], tuple[Any, Any]]
"""One step of a population: a (..., n) -> (what it emits, v after the reset), both of that shape."""


def run(spec: dict[str, Any], inputs: Any, make: Callable[[dict[str, Any]], Step]) -> dict[str, dict[str, Any]]:
    """Run from rest on inputs (..., T, n_in): {"out": {population: (..., T, n)}, "v": the same}, float64.

    Of a batch (B, T, n_in) a step is that of all B runs; they may differ from single ones in the last bits of a sum.

    `make(population)` gives the step function of one population: a dict with name, size, du, dv, vth, v_reset, bias
    (numbers or arrays (n,)), currents, and emits ("spikes", or "v" of neurons that never fire).
    """
    inputs = np.asarray(inputs, np.float64)
    *items, steps, _ = inputs.shape
    populations = {p["name"]: p for p in spec["populations"]}
    into: dict[str, list[Any]] = {name: [] for name in populations}
    arriving = {name: np.zeros((*items, steps, p["size"])) for name, p in populations.items()}
    for projection in spec["projections"]:
        if projection["source"] == "input":  # known beforehand: all steps at once
            lag = projection["lag"]
            known = inputs[..., : max(0, steps - lag), :]
            arriving[projection["target"]][..., lag:, :] += product(projection["weights"], known)
        else:
            into[projection["target"]].append(projection)
    for name, p in populations.items():
        for onset, values in p["currents"]:
            arriving[name][..., onset:, :] += values
    neurons = {name: make(p) for name, p in populations.items()}
    out = {name: np.zeros((*items, steps, p["size"])) for name, p in populations.items()}
    v = {name: np.zeros((*items, steps, p["size"])) for name, p in populations.items()}
    for t in range(steps):
        for name, step in neurons.items():
            a = arriving[name][..., t, :]
            for projection in into[name]:
                before = t - projection["lag"]
                if before >= 0:
                    a = a + product(projection["weights"], out[projection["source"]][..., before, :])
            out[name][..., t, :], v[name][..., t, :] = step(a)
    return {"out": out, "v": v}


def product(weights: Any, x: Any) -> Any:
    """W x for every row of x (..., n_in) -> (..., n_out); weights (n,) are one to one."""
    if not isinstance(weights, np.ndarray):
        rows = x.reshape(-1, weights.shape[1])
        return np.asarray((weights @ rows.T).T).reshape(*x.shape[:-1], weights.shape[0])
    return weights * x if weights.ndim == 1 else x @ weights.T
