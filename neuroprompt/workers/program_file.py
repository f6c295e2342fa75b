"""Read a program file, here and in workers; needs Python 3.10 and numpy, and scipy where weights are sparse."""

import json
import tokenize
import zlib
from typing import Any
from zipfile import BadZipFile

import numpy as np

FORMAT = "neuroprompt-program-2"
VECTORS = ("du", "dv", "vth", "v_reset", "bias")
"""The numbers of a population: one, or one for each neuron."""
UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, IndexError, OverflowError),
    *(MemoryError, RecursionError, NotImplementedError, SyntaxError, BadZipFile, zlib.error, tokenize.TokenError),
)
"""What `read_program_file` and np.load raise of damaged files; ValueError where a program has another format."""


def read_program_file(file: Any) -> dict[str, Any]:
    """The program in an `.npz` (a path, or a file object) as plain values, as `neuroprompt.workers.stepwise` takes it.

    {"precision", "steps", "inputs", "input_scale", "populations", "projections"}. A population is {"name", "size",
    "bias_exp", "depth", "emits", "unit", "hold", "reset", "currents": [(onset, (n,)), ...]} with VECTORS; a projection
    is {"source", "target", "lag", "delay", "exponent", "weights"}, weights (n,), (out, in), or a csr_matrix.
    """
    with np.load(file, allow_pickle=False) as arrays:
        program: dict[str, Any] = json.loads(arrays["header"].tobytes())
        if program.pop("format") != FORMAT:
            raise ValueError(f"it is of another format than {FORMAT}")
        for i, population in enumerate(program["populations"]):
            population.setdefault("reset", "value")
            population |= {key: arrays[f"{key}.{i}"] for key in VECTORS}
            population["currents"] = [(onset, arrays[f"current.{i}.{onset}"]) for onset in population.pop("onsets")]
        for i, projection in enumerate(program["projections"]):
            if not projection.pop("sparse"):
                projection["weights"] = arrays[f"weights.{i}"]
                continue
            from scipy.sparse import csr_matrix

            rows = tuple(arrays[f"weights.{i}.{key}"] for key in ("data", "indices", "indptr"))
            projection["weights"] = csr_matrix(rows, shape=tuple(arrays[f"weights.{i}.shape"]))
    return program
