"""Encode: numbers on the input lines as spikes, by rate, latency or change, as snnTorch's `spikegen` does."""

from __future__ import annotations

import numpy as np

from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import BadData, UnknownName

CODES = ("rate", "latency", "delta")
SMALLEST, CHANGE = 0.01, 0.1
"""snnTorch's thresholds: numbers below SMALLEST never fire (latency), and rises below CHANGE do not (delta)."""


def encoded(inputs: Floats, code: str, seed: int = 0) -> Floats:
    """Spikes (T, n) for numbers (T, n).

    rate     a spike with chance x in every step, seeded
    latency  one spike, in step round((1 - x) (T - 1)), and none for x < 0.01; x is the same in every step
    delta    a spike where x rises by 0.1 or more since the step before; before the first it is 0

    Raises BadData for numbers that the code cannot say, UnknownName for another code.
    """
    if code not in CODES:
        raise UnknownName(f"no code for inputs is called {code!r}", f"one of: {', '.join(CODES)}")
    if code == "delta":
        before = np.concatenate([np.zeros_like(inputs[:1]), inputs[:-1]])
        return np.where(inputs - before >= CHANGE, 1.0, 0.0)
    if inputs.min(initial=0) < 0 or inputs.max(initial=0) > 1:
        got = f"inputs from {inputs.min():g} to {inputs.max():g}"
        raise BadData(got, f"numbers from 0 to 1 for --encode {code}", "scale them, or use --encode delta")
    if code == "rate":
        return np.where(np.random.default_rng(seed).random(inputs.shape) < inputs, 1.0, 0.0)
    if not np.array_equal(inputs, np.broadcast_to(inputs[:1], inputs.shape)):
        got = "inputs that change from step to step"
        raise BadData(got, "the same numbers in every step for --encode latency", "use --encode rate or delta")
    steps, x = len(inputs), inputs[0]
    spikes = np.zeros(inputs.shape)
    fires = x >= SMALLEST
    spikes[np.rint((1 - x[fires]) * (steps - 1)).astype(int), np.flatnonzero(fires)] = 1
    return spikes
