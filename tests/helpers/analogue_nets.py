"""Nets that numbers drive, as in every tutorial: pixels in 0..1, the same in every step, into neurons that leak."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

STEPS = 25
DT = 1e-4
Floats = NDArray[np.float64]


def analogue_layer(
    lines: int, seed: int, *, neurons: int = 40, tau: float = 10.0, spread: float = 2.0, kind: str = "LIF"
) -> tuple[nir.NIRGraph, Floats]:
    """A dense layer (Linear, then LIF with gain 1, or IF), and inputs (STEPS, lines)."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, spread / np.sqrt(lines), (neurons, lines))
    graph = _chain((lines,), nir.Linear(weight), _neurons(kind, (neurons,), tau))
    return graph, np.tile(rng.random(lines), (STEPS, 1))


def analogue_conv(seed: int, side: int = 12, channels: int = 4, tau: float = 5.0) -> tuple[nir.NIRGraph, Floats]:
    """A 3 x 3 convolution of one image of `side` x `side` pixels into LIF."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0.05, 1.0, (channels, 1, 3, 3)) * 0.4
    conv = nir.Conv2d((side, side), weight, 1, 0, 1, 1, np.zeros(channels))
    graph = _chain((1, side, side), conv, _neurons("LIF", (channels, side - 2, side - 2), tau))
    return graph, np.tile(rng.random(side * side), (STEPS, 1))


def jaccard(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Spikes in both of spikes in either."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def _neurons(kind: str, shape: tuple[int, ...], tau: float) -> Any:
    ones, zeros = np.ones(shape), np.zeros(shape)
    if kind == "IF":
        return nir.IF(r=ones, v_threshold=ones, v_reset=zeros)
    return nir.LIF(tau=ones * tau * DT, r=ones * tau, v_leak=zeros, v_threshold=ones, v_reset=zeros)


def _chain(shape: tuple[int, ...], linear: Any, neurons: Any) -> nir.NIRGraph:
    nodes = {
        "input": nir.Input({"input": np.array(shape)}),
        "w": linear,
        "n": neurons,
        "output": nir.Output({"output": np.array(np.shape(neurons.r))}),
    }
    return nir.NIRGraph(nodes, [("input", "w"), ("w", "n"), ("n", "output")], metadata={"dt": DT, "steps": STEPS})
