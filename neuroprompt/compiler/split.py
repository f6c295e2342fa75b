"""Split: weights of both signs as two projections of one sign each, in which the chip keeps all 8 bits.

Where signs are mixed in one list of synapses it drops the lowest bit (`neuroprompt.loihi.synapses.stored_weights`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from scipy.sparse import csr_matrix

from neuroprompt.spiking.program import Program, Projection


def split_signs(program: Program) -> Program:
    """W = W+ - |W-| in place of every W of mixed signs, as sparse rows: the same synapses, in two lists.

    Connections that are one to one stay as they are: they may carry numbers.
    """
    return replace(program, projections=tuple(part for q in program.projections for part in _parts(q)))


def _parts(projection: Projection) -> Iterator[Projection]:
    numbers = projection.numbers
    if projection.one_to_one or not numbers.min(initial=0) < 0 < numbers.max(initial=0):
        yield projection
        return
    for sign in (1, -1):
        rows = csr_matrix(projection.weights, copy=True)
        rows.data[rows.data * sign < 0] = 0
        rows.eliminate_zeros()
        yield replace(projection, weights=rows)
