"""Split: weights of both signs as two projections of one sign each, in which the chip keeps all 8 bits.

Where signs are mixed in one list of synapses it drops the lowest bit (`neuroprompt.loihi.synapses.stored_weights`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from neuroprompt.spiking.program import Program, Projection
from neuroprompt.spiking.weights import Weights


def split_signs(program: Program) -> Program:
    """W = W+ - |W-| in place of every W of mixed signs, as sparse rows: the same synapses, in two lists.

    Connections that are one to one stay as they are: they may carry numbers.
    """
    return replace(program, projections=tuple(part for q in program.projections for part in _parts(q)))


def _parts(projection: Projection) -> Iterator[Projection]:
    weights = projection.weights
    if weights.is_one_to_one or not weights.values.min(initial=0) < 0 < weights.values.max(initial=0):
        yield projection
        return
    for sign in (1, -1):
        rows = weights.rows()
        rows.data[rows.data * sign < 0] = 0
        rows.eliminate_zeros()
        yield replace(projection, weights=Weights(rows))
