"""What the scripts beside this one share: the weights and inputs of small nets, and where results go; numpy alone."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

STEPS, INPUTS, HIDDEN, OUTPUTS = 60, 8, 12, 6
OUT = Path(sys.argv[1])


def weights(rows: int, columns: int, seed: int, scale: float = 1.0) -> Any:
    """Weights (rows, columns) that make some of `rows` neurons of threshold 1 fire, float32."""
    return (np.random.default_rng(seed).normal(0.12, 0.45, (rows, columns)) * scale).astype(np.float32)


def inputs(seed: int = 5) -> Any:
    """Input spikes (STEPS, INPUTS), float32."""
    return (np.random.default_rng(seed).random((STEPS, INPUTS)) < 0.35).astype(np.float32)


def keep(name: str, graph: Any, x: Any, **recorded: Any) -> None:
    """Write NAME.nir, and NAME.npz with the inputs and what the library's own run gave, (STEPS, n) each."""
    import nir

    nir.write(OUT / f"{name}.nir", graph)
    np.savez(OUT / f"{name}.npz", inputs=x, **recorded)
