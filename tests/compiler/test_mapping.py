"""Neurons on cores: every limit is kept, every neuron is somewhere once, and traffic is counted by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from fixed_nets import fixed_nets

from neuroprompt.compiler.mapping import Placement, mapped
from neuroprompt.compiler.pieces import AXONS, CORES, NEURONS, WEIGHT_BYTES
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights


def layer(name: str, size: int) -> Population:
    return Population(name, size, 4095, 0, 100, np.zeros(size, np.int32), 6, depth=1)


def chain(*sizes: int, share: float = 1.0) -> Program:
    """Layers one after the other, each matrix dense, or with a share of its weights."""
    rng = np.random.default_rng(0)
    names = ["input", *(f"p{i}" for i in range(1, len(sizes)))]
    projections = [
        Projection(a, b, Weights.best(((rng.random((n, m)) < share) * rng.integers(1, 200, (n, m))).astype(np.int32)))
        for a, b, m, n in zip(names, names[1:], sizes, sizes[1:], strict=False)
    ]
    populations = tuple(layer(name, size) for name, size in zip(names[1:], sizes[1:], strict=True))
    return Program("fixed", 4, sizes[0], populations, tuple(projections))


def run(program: Program, rate: float = 0.5) -> Placement:
    rng = np.random.default_rng(1)
    return mapped(program, {p.name: rng.random((program.steps, p.size)) < rate for p in program.populations})


def assert_kept(program: Program, placement: Placement) -> None:
    """All limits, and each neuron in exactly one core."""
    places = Counter(
        (name, i)
        for core in placement.cores
        for name, (first, n) in core.holds.items()
        for i in range(first, first + n)
    )
    assert places == Counter((p.name, i) for p in program.populations for i in range(p.size))
    for core in placement.cores:
        assert core.neurons <= NEURONS
        assert core.in_axons <= AXONS
        assert core.bytes <= WEIGHT_BYTES
    assert max(Counter(core.tile for core in placement.cores).values()) <= 4
    for core in placement.cores if sum(q.weights.values.size for q in program.projections) < 500_000 else ():
        assert core.bytes == sum(bytes_by_hand(program, name, *part) for name, part in core.holds.items())


def bytes_by_hand(program: Program, name: str, first: int, count: int) -> int:
    """Weights of every list that ends at these neurons, once for each stretch of 256 targets that begin it."""
    lists: set[tuple[int, int, tuple[tuple[int, int], ...]]] = set()
    for number, q in enumerate(program.projections):
        if q.target == name:
            for column in q.weights.dense()[first : first + count].T:
                targets = np.flatnonzero(column).tolist()
                if targets:
                    same = tuple((t - targets[0], int(column[t])) for t in targets)
                    lists.add((number, targets[0] // 256, same))
    return sum(len(synapses) for _, _, synapses in lists)


@pytest.mark.parametrize("sizes", [(10, 5), (2500, 1100, 100), (100, 4000, 10), (4000, 300), (700, 1024, 1024, 1024)])
def test_every_limit_is_kept(sizes: tuple[int, ...]) -> None:
    program = chain(*sizes)
    assert_kept(program, run(program))


def test_generated_nets_take_one_core_and_no_hop() -> None:
    nets = fixed_nets()
    for _ in range(8):
        program, inputs = next(nets)
        placement = mapped(program, {name: t.spikes for name, t in simulate(program, inputs).items()})
        assert_kept(program, placement)
        if len(placement.cores) == 1:
            assert placement.hops == 0
            assert placement.too_large == ()


def test_messages_and_hops_are_those_of_a_count_by_hand() -> None:
    program = chain(10, 1500, 1200, share=0.3)
    spikes = {p.name: np.random.default_rng(3).random((4, p.size)) < 0.2 for p in program.populations}
    placement = mapped(program, spikes)
    home = {
        (name, i): c
        for c, core in enumerate(placement.cores)
        for name, (first, n) in core.holds.items()
        for i in range(first, first + n)
    }
    matrix = program.projections[1].weights.dense()
    sent: Counter[tuple[int, int]] = Counter()
    axons: Counter[int] = Counter()
    for j in range(1500):
        reached = {home["p2", int(i)] for i in np.flatnonzero(matrix[:, j])}
        axons[home["p1", j]] += len(reached)
        for core in reached:
            sent[home["p1", j], core] += int(spikes["p1"][:, j].sum())
    assert {pair: count * 4 for pair, count in placement.messages.items()} == {p: n for p, n in sent.items() if n}
    assert [core.out_axons for core in placement.cores] == [axons[c] for c in range(len(placement.cores))]
    tiles = [core.tile for core in placement.cores]
    far = {(a, b): abs(tiles[a][0] - tiles[b][0]) + abs(tiles[a][1] - tiles[b][1]) for a, b in sent}
    assert placement.hops * 4 == sum(n * far[pair] for pair, n in sent.items())
    result = placement.json()
    assert result["messages_a_step"] * 4 == sum(sent.values())
    assert result["messages_between_cores_a_step"] * 4 == sum(n for (a, b), n in sent.items() if a != b)


def test_cores_that_talk_end_up_on_one_tile() -> None:
    """Fourteen cores, the first seven of which talk to the seventh after them: in order they would be far apart."""
    size = NEURONS
    names = [f"p{i}" for i in range(14)]
    ones = Weights(np.ones(size, np.int32))
    projections = tuple(Projection(names[i], names[i + 7], ones) for i in range(7))
    program = Program("fixed", 4, 1, tuple(layer(name, size) for name in names), projections)
    placement = mapped(program, {name: np.ones((4, size), bool) for name in names})
    in_order = sum(abs((i + 7) // 4 - i // 4) * size for i in range(7))
    assert placement.hops < in_order / 4


def test_pieces_that_talk_share_a_core() -> None:
    """Four layers of 500: first come, first served puts 0 with 1 and 2 with 3, but 0 talks to 2 and 1 to 3."""
    names = [f"p{i}" for i in range(4)]
    ones = Weights(np.ones(500, np.int32))
    projections = (Projection("p0", "p2", ones), Projection("p1", "p3", ones))
    program = Program("fixed", 4, 1, tuple(layer(name, 500) for name in names), projections)
    for rate in (1.0, 0.0):
        placement = mapped(program, {name: np.full((4, 500), rate) for name in names})
        assert_kept(program, placement)
        together = [set(core.holds) for core in placement.cores]
        between = placement.json()["messages_between_cores_a_step"]
        if rate:
            assert (len(together), between) == (2, 0.0), together
        else:
            assert together == [{"p0", "p1"}, {"p2", "p3"}]


def test_a_convolution_is_stored_once_in_a_core() -> None:
    """8 maps of 11 x 11 from 4 of 12 x 12: 15,488 synapses; of every input map, 3 x 3 lists differ."""
    kernel = np.random.default_rng(4).integers(1, 100, (8, 4, 2, 2))
    matrix = np.zeros((8, 11, 11, 4, 12, 12), np.int32)
    for y, x, dy, dx in np.ndindex(11, 11, 2, 2):
        matrix[:, y, x, :, y + dy, x + dx] = kernel[:, :, dy, dx]
    weights = Weights.best(matrix.reshape(968, 576))
    program = Program("fixed", 4, 576, (layer("conv", 968),), (Projection("input", "conv", weights),))
    placement = run(program)
    assert_kept(program, placement)
    (core,) = placement.cores
    assert core.bytes == 4 * (1 + 2 + 1) ** 2 * 8  # of a row of pixels the first and the last reach 1 weight, others 2
    assert np.count_nonzero(matrix) == 11 * 11 * 4 * 4 * 8 == 15_488


def test_what_no_chip_holds_is_named() -> None:
    wide = run(chain(5000, 2))
    limit = "more than the 4,096 of a core; fewer sources, or fewer targets"
    assert wide.too_large == (f"5,000 axons into the core of 'p1', {limit}",)
    many = run(Program("fixed", 4, 1, (layer("p", NEURONS * (CORES + 1)),), ()))
    assert many.too_large == ("129 cores, more than the 128 of a Loihi 1; smaller layers, or several chips",)
