"""Pieces: populations cut to fit the cores of a Loihi 1, which pieces share a core, and what they send each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.stored import stored
from neuroprompt.spiking.program import Population

Array = NDArray[Any]

NEURONS, AXONS, WEIGHT_BYTES, CORES = 1024, 4096, 128 * 1024, 128
"""Neurons of a core, axons into it and out of it, bytes of its weights, cores of a chip (`mapping.SOURCE`)."""


@dataclass(frozen=True)
class Core:
    """One core: its tile (column, row), and by population the first neuron and how many of its neurons it holds.

    in_axons    source neurons and input lines whose spikes it takes, for each list of synapses
    out_axons   for each of its neurons the cores that it reaches, for each list of synapses
    bytes       of weights, one each, without indices; lists that axons share are there once (`compiler.stored`)
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
class Piece:
    """Some neurons of a population, and what they need of a core."""

    name: str
    first: int
    count: int
    in_axons: int
    bytes: int

    @classmethod
    def of(cls, name: str, first: int, count: int, into: list[Any]) -> Piece:
        """`count` neurons from `first` on, with the matrices (out, in) that end at their population."""
        rows = [matrix[first : first + count] for matrix in into]
        in_axons = sum(int(np.count_nonzero(np.diff(some.tocsc().indptr))) for some in rows)
        return cls(name, first, count, in_axons, sum(stored(some) for some in rows))

    @property
    def fits(self) -> bool:
        """Whether a core has room for it."""
        return self.count <= NEURONS and self.in_axons <= AXONS and self.bytes <= WEIGHT_BYTES


class Filling:
    """A core that is being filled."""

    def __init__(self) -> None:
        self.holds: dict[str, tuple[int, int]] = {}
        self.neurons = self.in_axons = self.bytes = 0

    def takes(self, piece: Piece) -> bool:
        """Whether there is room for it; a core holds one piece of a population."""
        return (
            piece.name not in self.holds
            and self.neurons + piece.count <= NEURONS
            and self.in_axons + piece.in_axons <= AXONS
            and self.bytes + piece.bytes <= WEIGHT_BYTES
        )

    def add(self, piece: Piece) -> None:
        """Put it in."""
        self.holds[piece.name] = (piece.first, piece.count)
        self.neurons += piece.count
        self.in_axons += piece.in_axons
        self.bytes += piece.bytes

    def placed(self, tile: tuple[int, int], out_axons: int) -> Core:
        """The core on its tile."""
        return Core(tile, dict(self.holds), self.in_axons, out_axons, self.bytes)


def first_fit(pieces: list[Piece]) -> list[int]:
    """The core of every piece: the first with room."""
    cores: list[Filling] = []
    at = []
    for piece in pieces:
        core = next((i for i, core in enumerate(cores) if core.takes(piece)), len(cores))
        if core == len(cores):
            cores.append(Filling())
        cores[core].add(piece)
        at.append(core)
    return at


def filled(pieces: list[Piece], at: list[int]) -> list[Filling]:
    """The cores, of pieces that are in core `at` each."""
    cores = [Filling() for _ in range(max(at, default=-1) + 1)]
    for core, piece in zip(at, pieces, strict=True):
        cores[core].add(piece)
    return cores


def traffic_of(
    pieces: list[Piece], matrices: list[tuple[str, str, Any]], spikes: Mapping[str, Array], blocks: int
) -> tuple[Array, Array]:
    """Messages of a step from each piece, and then from each block of input lines, to each, a mean; and axons out.

    One of a piece's spikes is one message to every piece that listens, by list of synapses. Two pieces of a population
    are never in one core, so that messages to cores are sums of these.
    """
    traffic, axons = np.zeros((len(pieces) + blocks,) * 2), np.zeros(len(pieces), np.int64)
    places: dict[str, list[tuple[int, int, int]]] = {}
    for i, piece in enumerate(pieces):
        places.setdefault(piece.name, []).append((i, piece.first, piece.first + piece.count))
    places["input"] = [(len(pieces) + b, b * NEURONS, (b + 1) * NEURONS) for b in range(blocks)]
    for source, target, matrix in matrices:
        rates = spikes[source].mean(axis=0) if source in spikes else np.zeros(matrix.shape[1])
        by_rows = matrix.tocsr()
        for j, first, end in places[target]:
            listens = np.diff(by_rows[first:end].tocsc().indptr) > 0
            for i, start, stop in places[source]:
                traffic[i, j] += rates[start:stop] @ listens[start:stop]
                if source != "input":
                    axons[i] += np.count_nonzero(listens[start:stop])
    return traffic, axons


def together(pieces: list[Piece], at: list[int], traffic: Array) -> list[int]:
    """Pieces moved to a core with room, or exchanged with one in it, as long as that saves messages between cores."""
    both, at = traffic + traffic.T, list(at)
    np.fill_diagonal(both, 0.0)
    least = 1e-9 * max(1.0, float(both.sum()))
    better = True
    while better:
        better = False
        for i in range(len(pieces)):
            change = _better_place(pieces, at, both, i, least)
            if change is not None:
                at, better = change, True
    numbers = {core: i for i, core in enumerate(sorted(set(at)))}
    return [numbers[core] for core in at]


def _better_place(pieces: list[Piece], at: list[int], both: Array, i: int, least: float) -> list[int] | None:
    """The cores with piece `i` where it saves most messages, alone or against a piece that takes its place; or None."""
    cores = max(at) + 1
    talks = np.zeros((len(at), cores))
    np.add.at(talks.T, at, both)
    home = at[i]
    saved = {(core, -1): float(talks[i, core] - talks[i, home]) for core in range(cores) if core != home}
    for j, core in enumerate(at):
        if core != home:
            back = float(talks[j, home] - talks[j, core] - 2 * both[i, j])
            saved[core, j] = saved[core, -1] + back
    for (core, j), gain in sorted(saved.items(), key=lambda each: (-each[1], each[0])):
        if gain <= least:
            return None
        change = [core if k == i else home if k == j else place for k, place in enumerate(at)]
        if all(_fit([piece for piece, place in zip(pieces, change, strict=True) if place == c]) for c in (core, home)):
            return change
    return None


def _fit(pieces: list[Piece]) -> bool:
    """Whether a core has room for all of them; a piece too large for any core has one of its own."""
    core = Filling()
    for piece in pieces:
        if len(pieces) > 1 and not core.takes(piece):
            return False
        core.add(piece)
    return True


def cut(population: Population, into: list[Any]) -> list[tuple[int, int]]:
    """(first, count) of equal pieces, few enough, that fit a core each; where a single neuron does not, one core's."""
    by_rows = [matrix.tocsr() for matrix in into]
    least = max(1, -(-population.size // NEURONS), -(-sum(stored(m) for m in by_rows) // WEIGHT_BYTES))
    single = sum((np.diff(matrix.indptr) for matrix in by_rows), np.zeros(population.size, np.int64))
    hopeless = int(single.max(initial=0)) > AXONS
    count = least
    while True:
        ends = [round(i * population.size / count) for i in range(count + 1)]
        pieces = [(a, b - a) for a, b in pairwise(ends)]
        if hopeless or count == population.size or all(Piece.of("", *piece, by_rows).fits for piece in pieces):
            return pieces
        count = min(population.size, max(count + 1, count * 5 // 4))
