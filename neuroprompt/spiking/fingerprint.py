"""A program's fingerprint: equal for equal programs, and quick to take again, since weights never change."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from neuroprompt.spiking.program import Program
from neuroprompt.spiking.weights import Weights

NONE = Weights(np.zeros(1))


def fingerprint(program: Program) -> str:
    """SHA-256 of all that Program.to_bytes writes; that of weights is taken once and kept with them."""
    bare = replace(program, projections=tuple(replace(q, weights=NONE) for q in program.projections))
    digest = hashlib.sha256(bare.to_bytes())
    for q in program.projections:
        digest.update(q.weights.cached(_of_weights))
    return digest.hexdigest()


def _of_weights(weights: Weights) -> bytes:
    raw = weights.raw
    digest = hashlib.sha256(f"{weights.form} {weights.shape}".encode())
    for array in (raw.data, raw.indices, raw.indptr) if weights.is_sparse else (raw,):
        digest.update(f" {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.digest()
