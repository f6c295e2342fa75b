"""Emulators of Loihi beside ours: the same integers give the same spikes, u and v, and rules that differ are known."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import nir
import numpy as np
import pytest
from fixed_nets import STEPS, fixed_nets, model_of, side_by_side

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

GRAPHS = int(os.environ.get("NEUROPROMPT_GRAPHS", "30"))
"""How many generated graphs Lava is asked about, beside the others: it takes about a second for each."""
FIRST_SEED = int(os.environ.get("NEUROPROMPT_FIRST_SEED", "2000"))
Overlaid = Callable[[str], SpikingTarget]


def assert_same(ours: Recording, theirs: Recording) -> int:
    """Equal spikes, u, v and values, integer by integer; how many spikes there are."""
    for kind in ("spikes", "u", "v", "values"):
        mine, other = getattr(ours, kind), getattr(theirs, kind)
        assert set(mine) == set(other)
        for name in mine:
            np.testing.assert_array_equal(mine[name], other[name], err_msg=f"{kind} of {name}")
    return sum(int(spikes.sum()) for spikes in ours.spikes.values())


def emulated(program: Program, inputs: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Recording:
    return SpikingTarget.named("loihi").run(model_of(program), inputs, "fixed", states=True)


def without_biases(program: Program) -> Program:
    """Biases and currents gone, and the first neuron's decays and threshold for all: what Brian2Loihi has."""

    def plain(p: Population) -> Population:
        one: dict[str, Any] = {key: int(np.max(getattr(p, key))) for key in ("du", "dv", "vth")}
        return replace(p, bias=np.zeros_like(p.bias), currents=(), **one)

    return replace(program, populations=tuple(plain(p) for p in program.populations))


def can(target: SpikingTarget, program: Program, inputs: Any) -> bool:
    """Whether it runs that net on these inputs; one of those side by side that it rejects would reject them all."""
    try:
        target.refuse(program)
        target.check(program)  # type: ignore[attr-defined]
        target.check_rules(program, program.encode(inputs))  # type: ignore[attr-defined]
    except Unsupported:
        return False
    return True


def test_nengo_loihi_computes_what_our_emulator_does(overlaid: Overlaid) -> None:
    target = overlaid("nengo-loihi")
    nets = list(islice((net for net in fixed_nets() if can(target, *net)), 30))
    model, inputs = side_by_side(nets)
    spikes = assert_same(emulated(model.fixed_program, inputs), target.run(model, inputs, "fixed", states=True))
    assert spikes > 2500
    assert any(q.delay for q in model.fixed_program.projections)
    assert any(q.exponent for q in model.fixed_program.projections)
    assert any(p.depth and p.bias.any() for p in model.fixed_program.populations)


def test_brian2loihi_computes_what_our_emulator_does(overlaid: Overlaid) -> None:
    target = overlaid("brian2loihi")
    nets = [(without_biases(program), inputs) for program, inputs in islice(fixed_nets(1000), 20)]
    model, inputs = side_by_side(nets)
    spikes = assert_same(emulated(model.fixed_program, inputs), target.run(model, inputs, "fixed", states=True))
    assert spikes > 1000
    assert any(q.delay for q in model.fixed_program.projections)


@pytest.mark.slow
@pytest.mark.timeout(600 + 30 * GRAPHS)
def test_three_emulators_agree_on_generated_graphs(lava: SpikingTarget, overlaid: Overlaid) -> None:
    """Ours, Lava and nengo-loihi; NEUROPROMPT_GRAPHS=300 takes minutes, NEUROPROMPT_FIRST_SEED chooses others."""
    nengo_loihi = overlaid("nengo-loihi")
    nets = islice((net for net in fixed_nets(FIRST_SEED) if can(nengo_loihi, *net)), GRAPHS)
    spikes = graphs = 0
    while some := list(islice(nets, 10)):
        model, inputs = side_by_side(some)
        ours = emulated(model.fixed_program, inputs)
        spikes += assert_same(ours, nengo_loihi.run(model, inputs, "fixed", states=True))
        assert_same(ours, lava.run(model, inputs, "fixed", states=True))
        graphs += len(some)
    assert graphs == GRAPHS
    assert spikes > 20 * GRAPHS


def alone(weights: list[list[int]], **other: object) -> Program:
    """Input lines and a population behind them."""
    w = np.array(weights, np.int32)
    plain = Population("p", len(w), du=4095, dv=0, vth=1000, bias=np.zeros(len(w), np.int32), bias_exp=6, depth=1)
    exponent = int(other.pop("exponent", 0))  # type: ignore[call-overload]
    population = replace(plain, **other)  # type: ignore[arg-type]
    projections = (Projection("input", "p", Weights(w), exponent=exponent),)
    return Program("fixed", STEPS, w.shape[1], (population,), projections)


LOUD = np.ones((STEPS, 9))
CORNERS = {
    "the sum of a step": (alone([[255] * 9], exponent=6, vth=99_999), True),
    "the sum of a step, below 0": (alone([[-255] * 9], exponent=5, vth=99_999), True),
    "u": (alone([[255] * 9], exponent=3, vth=131_071, du=0), True),
    "u and bias": (alone([[0] * 9], depth=0, bias=np.array([4095], np.int32), bias_exp=7, vth=7000), False),
    "v clips": (alone([[-255] * 9], exponent=3, vth=131_071), False),
}


@pytest.mark.parametrize("corner", CORNERS)
def test_at_the_ends_of_its_ranges_loihi_1_is_nengo_loihis(corner: str, overlaid: Overlaid) -> None:
    """Our emulator with the rules of Loihi 1; with those of Loihi 2 the net is rejected where they differ."""
    target = overlaid("nengo-loihi")
    program, differs = CORNERS[corner]
    model = model_of(program).on("loihi1")
    first = SpikingTarget.named("loihi").run(model, LOUD, "fixed", states=True)
    assert_same(first, target.run(model, LOUD, "fixed", states=True))
    second = emulated(program, LOUD)
    assert (differs and not np.array_equal(first.u["p"], second.u["p"])) or assert_same(first, second) >= 0
    if differs:
        with pytest.raises(Unsupported, match=r"node 'p' leave the range of Loihi 1 \d+ times.*--chip loihi1"):
            target.run(model.on("loihi2"), LOUD, "fixed")
    else:
        assert_same(second, target.run(model.on("loihi2"), LOUD, "fixed", states=True))


def test_brian2loihi_rejects_states_beyond_their_range() -> None:
    with pytest.raises(Unsupported, match="'p' leave the chip's range"):
        SpikingTarget.named("brian2loihi").run(model_of(CORNERS["v clips"][0]), LOUD, "fixed")


def test_the_chip_travels_with_the_program() -> None:
    program = replace(alone([[1]]), chip="loihi1")
    assert Program.from_bytes(program.to_bytes()).chip == "loihi1"
    with pytest.raises(Unsupported, match="a program for Loihi 1; expected one for Loihi 2"):
        SpikingTarget.named("lava").run(model_of(program), np.ones((STEPS, 1)), "fixed")
    with pytest.raises(Unsupported, match="numbers on the input lines of a Loihi 1"):
        emulated(replace(program, input_scale=2.0), np.ones((STEPS, 1)))


def test_the_scale_report_counts_sums_that_wrap_on_a_loihi_1() -> None:
    """300 active lines of one weight are exact at many scales; the search takes one with which no sum reaches 2^15."""
    one, lines = np.ones(1), 300
    node = nir.IF(r=one, v_threshold=one * 450.5, v_reset=one * 0)
    graph, inputs = nir.NIRGraph.from_list(nir.Linear(np.ones((1, lines))), node), np.ones((STEPS, lines))
    for scale, beyond in ((None, 0), (100.0, 0), (200.0, STEPS)):
        report = model_of_graph(graph, STEPS, inputs, scale).scale_report
        (population,) = report["populations"].values()
        assert population["sums_beyond_loihi1"] == beyond
        assert population["spike_match"] == 1.0


def test_a_neuron_that_holds_is_a_refractory_period_of_two(overlaid: Overlaid) -> None:
    program = alone([[255] * 8, [100] * 8], hold=True, vth=300)
    inputs = (np.random.default_rng(0).random((STEPS, 8)) < 0.6).astype(float)
    ours = emulated(program, inputs)
    assert 0 < ours.spikes["p"].sum() <= STEPS
    for name in ("nengo-loihi", "brian2loihi"):
        assert_same(ours, overlaid(name).run(model_of(program), inputs, "fixed", states=True))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("nengo-loihi", {"depth": 0, "currents": ((0, np.ones(1, int)),)}, "'p' gets a current from the first step on"),
        ("brian2loihi", {"bias": np.ones(1, np.int32)}, "'p' has a bias or a current"),
        ("brian2loihi", {"dv": np.array([1, 2]), "size": 2}, "'p' has more than one leak"),
    ],
)
def test_what_a_witness_cannot_say_names_the_node(name: str, change: dict[str, object], words: str) -> None:
    program = alone([[1]])
    p = replace(program.populations[0], **change)  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match=words):
        SpikingTarget.named(name).run(model_of(replace(program, populations=(p,))), np.ones((STEPS, 1)), "fixed")


@pytest.mark.parametrize("name", ["nengo-loihi", "brian2loihi"])
def test_numbers_and_floats_are_one_line(name: str) -> None:
    program = replace(alone([[1]]), input_scale=2.0)
    with pytest.raises(Unsupported, match="numbers on the input lines"):
        SpikingTarget.named(name).run(model_of(program), np.ones((STEPS, 1)), "fixed")
    with pytest.raises(Unsupported, match="precision 'float'"):
        SpikingTarget.named(name).run(model_of(program), np.ones((STEPS, 1)), "float")
