"""Check: every node of a graph is one that NIR 1.0.8 has, with parameters that can be; errors name the node."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.conventions import Reading
from neuroprompt.errors import BadGraph, Unsupported

Array = NDArray[Any]

FIRING = (nir.IF, nir.LIF, nir.CubaLIF, nir.Threshold)
GRADED = (nir.I, nir.LI, nir.CubaLI)
NEURONS = (*FIRING, *GRADED)
LINEAR = (nir.Affine, nir.Linear, nir.Scale, nir.Conv1d, nir.Conv2d, nir.SumPool2d, nir.AvgPool2d, nir.Flatten)
KNOWN = (nir.Input, nir.Output, *LINEAR, *NEURONS, nir.Delay)

PARAMETERS: dict[type, tuple[str, ...]] = {
    nir.IF: ("r", "v_threshold", "v_reset"),
    nir.LIF: ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    nir.CubaLIF: ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    nir.Threshold: ("threshold",),
    nir.I: ("r",),
    nir.LI: ("tau", "r", "v_leak"),
    nir.CubaLI: ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    nir.Delay: ("delay",),
    nir.Scale: ("scale",),
    nir.Affine: ("weight", "bias"),
    nir.Linear: ("weight",),
    nir.Conv1d: ("weight", "bias"),
    nir.Conv2d: ("weight", "bias"),
}
"""The numbers of every kind of node; those of neurons have one shape, which is the node's."""

MOST_NEURONS = 10_000_000
MOST_SYNAPSES = 50_000_000


def check_node(name: str, node: Any, reading: Reading) -> None:
    """Raise BadGraph where a node's own parameters cannot be, Unsupported where nothing here runs it.

    With Euler steps a time constant must be at least one of them.
    """
    if not isinstance(node, KNOWN):
        known = ", ".join(kind.__name__ for kind in KNOWN)
        raise Unsupported(f"node {name!r} is a {type(node).__name__}, which no target here runs", f"one of {known}")
    parameters = PARAMETERS.get(type(node), ())
    for key in parameters:
        _numbers(name, key, getattr(node, key))
    if isinstance(node, NEURONS):
        shapes = {np.shape(getattr(node, key)) for key in parameters} - {()}
        if len(shapes) > 1:
            raise BadGraph(f"node {name!r} has parameters of shapes {sorted(shapes)}", "one shape, the node's")
    for key in ("tau", "tau_syn", "tau_mem"):
        if key in parameters:
            _time_constant(name, key, np.asarray(getattr(node, key)), reading)
    if isinstance(node, nir.Delay) and np.any(np.asarray(node.delay) < 0):
        raise BadGraph(f"node {name!r} has delay = {np.min(node.delay)} s", "at least 0")
    if isinstance(node, (nir.Affine, nir.Linear)) and node.weight.ndim < 2:
        raise BadGraph(f"node {name!r} has weights of shape {node.weight.shape}", "(..., out, in)")
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        wanted = 3 if isinstance(node, nir.Conv1d) else 4
        if node.weight.ndim != wanted or 0 in node.weight.shape:
            raise BadGraph(f"node {name!r} has weights of shape {node.weight.shape}", f"{wanted} dimensions, none 0")


def _numbers(name: str, key: str, value: Any) -> None:
    if not isinstance(value, (np.ndarray, np.generic, int, float)):
        got = f"node {name!r} has {key} of type {type(value).__name__}"
        raise BadGraph(got, "a numpy array", "of a torch tensor: .detach().numpy()")
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise BadGraph(f"node {name!r} has {key} of type {array.dtype}", "numbers")
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)].flat[0]
        raise BadGraph(f"node {name!r} has {key} = {bad}", "finite parameters")


def _time_constant(name: str, key: str, tau: Array, reading: Reading) -> None:
    if tau.size and not np.all(tau > 0):
        raise BadGraph(f"node {name!r} has {key} = {tau.min()}", "time constants above 0 seconds")
    convention, dt = reading.convention, reading.dt
    seconds = tau / dt if convention.tau == "tau / dt" else tau
    # The least share by which a time constant may be below a step: float32 files hold dt itself with such an error.
    if tau.size and convention.share == "euler" and np.any(seconds < dt * (1 - 1e-6)):
        fix = "Norse 1.1.0 writes time constants times dt: --from norse" if convention.name == "neuroprompt" else ""
        raise Unsupported(f"node {name!r} has {key} = {seconds.min():g} s", f"at least one time step of {dt:g} s", fix)
