"""Mapping: neurons onto the cores of a Loihi 1, cores onto its mesh, and the messages and hops of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from neuroprompt.spiking.program import Population, Program

Array = NDArray[Any]

SOURCE = (
    "Davies et al., Loihi: A Neuromorphic Manycore Processor with On-Chip Learning, IEEE Micro 38(1), 2018 (1,024 "
    "neurons a core, 128 cores); nengo-loihi 1.1.0, block.py (4,096 axons into and out of a core, 2^20 bits of "
    "synapses); SANA-FE 2.2.9, loihi.yaml (a mesh of 8 x 4 tiles of 4 cores)"
)
NEURONS, AXONS, WEIGHT_BYTES, CORES = 1024, 4096, 128 * 1024, 128
WIDTH, IN_A_TILE = 8, 4


@dataclass(frozen=True)
class Core:
    """One core: its tile (column, row), and by population the first neuron and how many of its neurons it holds.

    in_axons    source neurons and input lines whose spikes it takes, for each list of synapses
    out_axons   for each of its neurons the cores that it reaches, for each list of synapses
    bytes       of weights, one each, without indices
    """

    tile: tuple[int, int]
    holds: Mapping[str, tuple[int, int]]
    in_axons: int
    out_axons: int
    bytes: int

    @property
    def neurons(self) -> int:
        """How many it holds."""
        return sum(count for _, count in self.holds.values())


@dataclass(frozen=True)
class Placement:
    """Where a program's neurons are: `cores` by number, and (core, core) -> messages of a step in `messages`, a mean.

    A spike is one message to every core that listens, by list of synapses; those from the input lines come from outside
    and are not counted. A hop is one tile further on the mesh. `too_large` says why it does not fit one chip, where so.
    """

    cores: tuple[Core, ...]
    messages: Mapping[tuple[int, int], float]
    too_large: tuple[str, ...]

    @property
    def hops(self) -> float:
        """Hops of all messages of a step, a mean."""
        return sum(
            count * tiles_apart(self.cores[a].tile, self.cores[b].tile) for (a, b), count in self.messages.items()
        )

    def json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "cores": [asdict(core) | {"neurons": core.neurons} for core in self.cores],
            "messages_a_step": sum(self.messages.values()),
            "messages_between_cores_a_step": sum(count for (a, b), count in self.messages.items() if a != b),
            "hops_a_step": self.hops,
            "too_large": list(self.too_large),
            "source": SOURCE,
        }


def mapped(program: Program, spikes: Mapping[str, Array]) -> Placement:
    """Place a program; traffic is that of a run, `spikes` (T, n) by population.

    Of a program that does not fit one chip no traffic is counted.

    Greedy: populations in order, in pieces that fit a core, each into the first core with room. Then cores change their
    tiles in pairs as long as that makes the hops fewer.
    """
    matrices = [(q.source, q.target, csc_matrix(q.weights.rows() != 0)) for q in program.projections]
    cores: list[_Filling] = []
    for population in program.populations:
        into = [matrix for _, target, matrix in matrices if target == population.name]
        for first, count in _pieces(population, into):
            piece = _Piece.of(population.name, first, count, into)
            room = next((core for core in cores if core.takes(piece)), None)
            if room is None:
                room = _Filling()
                cores.append(room)
            room.add(piece)
    homes = {p.name: _homes(p, cores) for p in program.populations}
    out_axons, messages = np.zeros(len(cores), np.int64), np.zeros((len(cores), len(cores)))
    for source, target, matrix in matrices:
        if source == "input" or len(cores) > CORES:
            continue
        reached = _reached(matrix, homes[target], len(cores))
        rate = spikes[source].mean(axis=0)
        np.add.at(out_axons, homes[source], reached.sum(axis=1))
        np.add.at(messages, homes[source], rate[:, None] * reached)
    tiles = _tiles(messages)
    placed = tuple(
        Core(tiles[i], dict(core.holds), core.in_axons, int(out_axons[i]), core.bytes) for i, core in enumerate(cores)
    )
    counted = {(int(a), int(b)): float(messages[a, b]) for a, b in np.argwhere(messages)}
    return Placement(placed, counted, tuple(_too_large(placed)))


@dataclass(frozen=True)
class _Piece:
    """Some neurons of a population, and what they need of a core."""

    name: str
    first: int
    count: int
    in_axons: int
    bytes: int

    @classmethod
    def of(cls, name: str, first: int, count: int, into: list[Any]) -> _Piece:
        rows = [matrix[first : first + count] for matrix in into]
        in_axons = sum(int(np.count_nonzero(np.diff(some.tocsc().indptr))) for some in rows)
        return cls(name, first, count, in_axons, sum(int(some.nnz) for some in rows))

    @property
    def fits(self) -> bool:
        return self.count <= NEURONS and self.in_axons <= AXONS and self.bytes <= WEIGHT_BYTES


class _Filling:
    """A core that is being filled."""

    def __init__(self) -> None:
        self.holds: dict[str, tuple[int, int]] = {}
        self.neurons = self.in_axons = self.bytes = 0

    def takes(self, piece: _Piece) -> bool:
        return (
            piece.name not in self.holds
            and self.neurons + piece.count <= NEURONS
            and self.in_axons + piece.in_axons <= AXONS
            and self.bytes + piece.bytes <= WEIGHT_BYTES
        )

    def add(self, piece: _Piece) -> None:
        self.holds[piece.name] = (piece.first, piece.count)
        self.neurons += piece.count
        self.in_axons += piece.in_axons
        self.bytes += piece.bytes


def _pieces(population: Population, into: list[Any]) -> list[tuple[int, int]]:
    """(first, count) of equal pieces, few enough, that fit a core each; where a single neuron does not, one core's."""
    by_rows = [matrix.tocsr() for matrix in into]
    least = max(1, -(-population.size // NEURONS), -(-sum(int(m.nnz) for m in by_rows) // WEIGHT_BYTES))
    single = sum((np.diff(matrix.indptr) for matrix in by_rows), np.zeros(population.size, np.int64))
    hopeless = int(single.max(initial=0)) > min(AXONS, WEIGHT_BYTES)
    count = least
    while True:
        ends = [round(i * population.size / count) for i in range(count + 1)]
        pieces = [(a, b - a) for a, b in pairwise(ends)]
        if hopeless or count == population.size or all(_Piece.of("", *piece, by_rows).fits for piece in pieces):
            return pieces
        count = min(population.size, max(count + 1, count * 5 // 4))


def _homes(population: Population, cores: list[_Filling]) -> NDArray[np.int64]:
    """The core of every neuron."""
    homes = np.zeros(population.size, np.int64)
    for i, core in enumerate(cores):
        if population.name in core.holds:
            first, count = core.holds[population.name]
            homes[first : first + count] = i
    return homes


def _reached(matrix: Any, homes: NDArray[np.int64], cores: int) -> NDArray[np.bool_]:
    """For every source neuron the cores that its list of synapses reaches, (n, cores)."""
    reached = np.zeros((matrix.shape[1], cores), bool)
    entries = matrix.tocoo()
    reached[entries.col, homes[entries.row]] = True
    return reached


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
