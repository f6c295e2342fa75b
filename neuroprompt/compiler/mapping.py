"""Mapping: neurons onto the cores of a Loihi 1, cores onto its mesh, and the messages and hops of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from neuroprompt.compiler.pieces import AXONS, CORES, NEURONS, Core, Piece, cut, filled, first_fit, together, traffic_of
from neuroprompt.spiking.program import Program

Array = NDArray[Any]

SOURCE = (
    "Davies et al., Loihi: A Neuromorphic Manycore Processor with On-Chip Learning, IEEE Micro 38(1), 2018, p. 86 and "
    "89 (128 cores; a core has 1,024 neurons, 4,096 axons in, 4,096 out and 128 KB of synapses); nengo-loihi 1.1.0, "
    "block.py (the same limits) and hardware/builder.py (axons point to lists of synapses that others may share, each "
    "with a base up to 255); SANA-FE 2.2.9, loihi.yaml (a mesh of 8 x 4 tiles of 4 cores)"
)
WIDTH, IN_A_TILE = 8, 4


@dataclass(frozen=True)
class Placement:
    """Where a program's neurons are: `cores` by number, and (core, core) -> messages of a step in `messages`, a mean.

    A spike is one message to every core that listens, by list of synapses. A hop is one tile further on the mesh.
    `lines` are the tiles of cores that send the input lines, 1,024 each, as SANA-FE has them; empty where no core is
    left. Their messages are not counted in `messages`. `too_large` says why it does not fit one chip, where so.
    """

    cores: tuple[Core, ...]
    messages: Mapping[tuple[int, int], float]
    too_large: tuple[str, ...]
    lines: tuple[tuple[int, int], ...] = ()

    @property
    def hops(self) -> float:
        """Hops of all messages of a step, a mean."""
        return sum(
            count * tiles_apart(self.cores[a].tile, self.cores[b].tile) for (a, b), count in self.messages.items()
        )

    @property
    def tiles(self) -> int:
        """How many tiles are in use."""
        return len({core.tile for core in self.cores} | set(self.lines))

    def json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "cores": [asdict(core) | {"neurons": core.neurons} for core in self.cores],
            "lines": [list(tile) for tile in self.lines],
            "messages_a_step": sum(self.messages.values()),
            "messages_between_cores_a_step": sum(count for (a, b), count in self.messages.items() if a != b),
            "hops_a_step": self.hops,
            "too_large": list(self.too_large),
            "source": SOURCE,
        }


def mapped(program: Program, spikes: Mapping[str, Array]) -> Placement:
    """Place a program; traffic is that of a run, `spikes` (T, n) by population, and of "input" where it is there.

    Of a program that does not fit one chip no traffic is counted.

    Greedy: populations in order, in pieces that fit a core, each into the first core with room. Then pieces move to
    other cores with room as long as that makes the messages between cores fewer, and at last cores change their tiles
    in pairs as long as that makes the hops fewer.
    """
    matrices = [(q.source, q.target, csc_matrix(q.weights.nonzero())) for q in program.projections]
    pieces: list[Piece] = []
    for population in program.populations:
        into = [matrix for _, target, matrix in matrices if target == population.name]
        pieces += [Piece.of(population.name, *piece, into) for piece in cut(population, into)]
    at = first_fit(pieces)
    if max(at, default=0) >= CORES:
        cores = tuple(core.placed((0, 0), 0) for core in filled(pieces, at))
        return Placement(cores, {}, tuple(_too_large(cores)))
    blocks = -(-program.inputs // NEURONS)
    traffic, axons = traffic_of(pieces, matrices, spikes, blocks)
    at = together(pieces, at, traffic[: len(pieces), : len(pieces)])
    cores_filled = filled(pieces, at)
    blocks = blocks if len(cores_filled) + blocks <= CORES else 0
    ends = np.array([*at, *range(len(cores_filled), len(cores_filled) + blocks)])
    messages = np.zeros((len(cores_filled) + blocks,) * 2)
    np.add.at(messages, (ends[:, None], ends[None]), traffic[: len(ends), : len(ends)])
    tiles = _tiles(messages)
    out_axons = np.bincount(at, weights=axons, minlength=len(cores_filled))
    cores = tuple(core.placed(tiles[i], int(out_axons[i])) for i, core in enumerate(cores_filled))
    counted = {(int(a), int(b)): float(messages[a, b]) for a, b in np.argwhere(messages[: len(cores)])}
    return Placement(cores, counted, tuple(_too_large(cores)), tuple(tiles[len(cores) :]))


def _tiles(messages: Array) -> list[tuple[int, int]]:
    """A tile for every core, four to a tile: in order, then two cores change places while that saves hops."""
    count = len(messages)
    both = messages + messages.T
    places = np.arange(count)
    across = np.array([_tile(place) for place in range(count)])
    far = np.abs(across[:, None] - across[None]).sum(axis=2)
    better = count <= CORES
    while better:
        better = False
        for a, b in combinations(range(count), 2):
            swapped = places.copy()
            swapped[[a, b]] = places[[b, a]]
            saved = sum(float(both[c] @ (far[places[c]][places] - far[swapped[c]][swapped])) for c in (a, b))
            if saved > 1e-9 * max(1.0, float(both.sum())):
                places, better = swapped, True
    return [_tile(int(place)) for place in places]


def _tile(place: int) -> tuple[int, int]:
    tile = place // IN_A_TILE
    return tile % WIDTH, tile // WIDTH


def tiles_apart(a: tuple[int, int], b: tuple[int, int]) -> int:
    """Hops between two tiles."""
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _too_large(cores: tuple[Core, ...]) -> list[str]:
    lines = []
    if len(cores) > CORES:
        lines.append(f"{len(cores)} cores, more than the {CORES} of a Loihi 1; smaller layers, or several chips")
    for what, axons in (("into", [core.in_axons for core in cores]), ("out of", [core.out_axons for core in cores])):
        if max(axons, default=0) > AXONS:
            most = int(np.argmax(axons))
            names = ", ".join(repr(name) for name in cores[most].holds)
            got = f"{axons[most]:,} axons {what} the core of {names}, more than the {AXONS:,} of a core"
            lines.append(f"{got}; fewer sources, or fewer targets")
    return lines
