"""Stored: how many weights a core keeps where axons share lists of synapses, as those of a convolution do."""

from __future__ import annotations

from hashlib import blake2b
from itertools import pairwise
from typing import Any

BASES = 256
"""A Loihi 1's axon points to a list of synapses and adds a base, 0 to 255, to its targets (`mapping.SOURCE`)."""


def stored(matrix: Any, bases: int | None = BASES) -> int:
    """Weights of a sparse matrix (targets, sources) without the lists that repeat another one further on.

    An axon's list is its weights and their targets. Axons whose lists are the same but for a shift of all targets share
    one, which a convolution's do but at its borders. As a base reaches `bases` targets only, each such stretch of
    targets has a copy of its own; None: one copy serves all.
    """
    columns = matrix.tocsc()
    columns.sort_indices()
    targets, weights = columns.indices, columns.data
    lists: set[tuple[int, int, bytes]] = set()
    count = 0
    for start, end in pairwise(columns.indptr.tolist()):
        if start == end:
            continue
        first = targets[start]
        stretch = 0 if bases is None else int(first) // bases
        content = blake2b((targets[start:end] - first).tobytes(), digest_size=16)
        content.update(weights[start:end].tobytes())
        if (synapses := (stretch, end - start, content.digest())) not in lists:
            lists.add(synapses)
            count += end - start
    return count
