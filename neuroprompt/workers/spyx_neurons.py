"""Spyx' neurons for `stepwise.run`, in its own packages; their equations stand in targets/spyx.py."""

from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from spyx import axn, nn

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")
SPIKE = axn.superspike()
NEVER = {"threshold": np.finfo(np.float64).max, "activation": SPIKE}


def make(population: dict[str, Any]) -> Any:
    """One step of a population: a (..., n) -> what it emits, v after the reset."""
    rest = np.zeros(population["size"])
    keys = ("du", "dv", "vth", "v_reset", "bias")
    du, dv, vth, v_reset, bias = (rest + np.asarray(population[key], np.float64) for key in keys)
    fires, remembers = population["emits"] == "spikes", bool((du != 1).any())
    kind = "LI" if not fires else "LIF" if dv.any() else "IF"
    reset = population["reset"]
    threshold = vth if fires and reset == "late" else rest + NEVER["threshold"]
    u = v = rest

    def step(a: Any) -> tuple[Any, Any]:
        nonlocal u, v
        if v.shape != a.shape:  # the first step of a batch
            u = v = np.zeros_like(a)
        u = np.asarray(integrate("LI", 1 - du, a, u, rest)) if remembers else a
        v = np.asarray(integrate(kind, 1 - dv, u + bias, v, threshold))
        if not fires:
            return v, v
        fired = np.asarray(SPIKE(v - vth))
        if reset == "value":
            v = np.where(fired > 0, v_reset, v)
        elif reset == "subtract":
            v = v - fired * vth
        return fired, v

    return step


@partial(jax.jit, static_argnums=0)
def integrate(kind: str, beta: Any, x: Any, v: Any, threshold: Any) -> Any:
    """The potential that a spyx cell makes of x and v, less the threshold where v was above it.

    Compiled once for each kind and shape.
    """
    options = {"rngs": nnx.Rngs(0)} if kind == "LI" else {"rngs": nnx.Rngs(0)} | NEVER
    cell = getattr(nn, kind)(v.shape, **options)
    if kind != "IF":
        cell.beta = nnx.Param(beta)  # in double precision, and one for each neuron
    if kind != "LI":
        cell.threshold = threshold
    return cell(x, v)[1]
