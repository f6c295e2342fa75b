"""Fingerprints of programs: equal for equal ones, and of anything else another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from neuroprompt.spiking.fingerprint import fingerprint
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights


def program(raw: object) -> Program:
    layer = Population("a", 3, 0, 0, 8, np.arange(3), depth=1)
    return Program("fixed", 2, 3, (layer,), (Projection("input", "a", Weights(raw)),))


def test_any_change_gives_another() -> None:
    matrix = np.arange(9, dtype=np.int32).reshape(3, 3)
    first = program(matrix)
    layer, (projection,) = first.populations[0], first.projections
    others = [
        program(matrix + 1),
        program(matrix.astype(np.int64)),
        program(csr_matrix(matrix)),
        program(np.arange(3)),
        replace(first, steps=3),
        replace(first, chip="loihi1"),
        replace(first, populations=(replace(layer, vth=9),)),
        replace(first, populations=(replace(layer, bias=np.arange(3) + 1),)),
        replace(first, populations=(replace(layer, currents=((0, np.ones(3)),)),)),
        replace(first, projections=(replace(projection, exponent=1),)),
        replace(first, projections=(projection, projection)),
    ]
    assert len({fingerprint(each) for each in [first, *others]}) == len(others) + 1
    assert (
        fingerprint(first) == fingerprint(program(matrix.copy())) == fingerprint(Program.from_bytes(first.to_bytes()))
    )
