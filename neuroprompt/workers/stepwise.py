"""Run a float program step by step with neurons of any make; needs numpy and scipy alone, so that any runtime can.

In step t of the NIR graph, population by population in the program's order (no chip delays here):

    a[t] = sum over projections W x_source[t - lag]  +  sum of the currents whose onset is at most t
    out[t], v[t] = neurons(a[t])
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

Step = Callable[[Any], tuple[Any, Any]]
"""One step of a population: a (n,) -> (what it emits, v after the reset), both (n,)."""


def load(path: Any) -> dict[str, Any]:
    """The program of a `.npz` (a path, or a file object) as plain values: what `Program.spec` gives, and its format."""
    with np.load(path, allow_pickle=False) as file:
        spec: dict[str, Any] = json.loads(file["header"].tobytes())
        for i, population in enumerate(spec["populations"]):
            population |= {key: file[f"{key}.{i}"] for key in ("du", "dv", "vth", "v_reset", "bias")}
            population["currents"] = [(onset, file[f"current.{i}.{onset}"]) for onset in population.pop("onsets")]
        for i, projection in enumerate(spec["projections"]):
            if projection.pop("sparse"):
                parts = tuple(file[f"weights.{i}.{key}"] for key in ("data", "indices", "indptr"))
                projection["weights"] = csr_matrix(parts, shape=tuple(file[f"weights.{i}.shape"]))
            else:
                projection["weights"] = file[f"weights.{i}"]
    return spec


def run(spec: dict[str, Any], inputs: Any, make: Callable[[dict[str, Any]], Step]) -> dict[str, dict[str, Any]]:
    """Run from rest on inputs (T, n_in): {"out": {population: (T, n)}, "v": {population: (T, n)}}, float64.

    `make(population)` gives the step function of one population: a dict with name, size, du, dv, vth, v_reset, bias
    (numbers or arrays (n,)), currents, and emits ("spikes", or "v" of neurons that never fire).
    """
    inputs = np.asarray(inputs, np.float64)
    steps = len(inputs)
    populations = {p["name"]: p for p in spec["populations"]}
    into: dict[str, list[Any]] = {name: [] for name in populations}
    arriving = {name: np.zeros((steps, p["size"])) for name, p in populations.items()}
    for projection in spec["projections"]:
        if projection["source"] == "input":  # known beforehand: all steps at once
            lag = projection["lag"]
            arriving[projection["target"]][lag:] += drive(projection["weights"], inputs[: max(0, steps - lag)])
        else:
            into[projection["target"]].append(projection)
    for name, p in populations.items():
        for onset, values in p["currents"]:
            arriving[name][onset:] += values
    cells = {name: make(p) for name, p in populations.items()}
    out = {name: np.zeros((steps, p["size"])) for name, p in populations.items()}
    v = {name: np.zeros((steps, p["size"])) for name, p in populations.items()}
    for t in range(steps):
        for name, cell in cells.items():
            a = arriving[name][t]
            for projection in into[name]:
                before = t - projection["lag"]
                if before >= 0:
                    a = a + drive(projection["weights"], out[projection["source"]][before : before + 1])[0]
            out[name][t], v[name][t] = cell(a)
    return {"out": out, "v": v}


def drive(weights: Any, x: Any) -> Any:
    """W x for every row of x (T, n_in) -> (T, n_out); weights (n,) are one to one."""
    if not isinstance(weights, np.ndarray):
        return np.asarray((weights @ x.T).T)
    return weights * x if weights.ndim == 1 else x @ weights.T
