"""The real Lava simulator against the reference and our emulator, bit by bit, on generated and on deployed nets."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from program_bounds import absolute, apart
from random_graphs import random_graph
from scipy.sparse import csr_matrix

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.flatten import flatten
from neuroprompt.compiler.lower import lower
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import Unsupported
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights
from neuroprompt.training.deploy import spiking_model

STEPS, LINES = 16, 64


def target(name: str) -> SpikingTarget:
    return SpikingTarget.named(name)


# --- generated nets --------------------------------------------------------------------------------------------------


def side_by_side(programs: list[Program]) -> Program:
    """Programs that share nothing, as one, with their input lines in a row: starting Lava costs more than a run."""
    lines, first = sum(program.inputs for program in programs), 0
    populations: list[Population] = []
    projections: list[Projection] = []
    for k, one in enumerate(programs):
        populations += [replace(p, name=f"{k}.{p.name}") for p in one.populations]
        for q in one.projections:
            weights = q.weights
            if q.source == "input":
                rows = weights.rows()
                wide = csr_matrix((rows.data, rows.indices + first, rows.indptr), shape=(rows.shape[0], lines))
                weights = Weights(wide.toarray() if weights.is_dense else wide)
            source = q.source if q.source == "input" else f"{k}.{q.source}"
            projections.append(replace(q, source=source, target=f"{k}.{q.target}", weights=weights))
        first += one.inputs
    return replace(programs[0], inputs=lines, populations=tuple(populations), projections=tuple(projections))


def together(models: list[SpikingModel]) -> SpikingModel:
    floats = side_by_side([m.float_program for m in models])
    return SpikingModel(models[0].graph, floats, side_by_side([m.fixed_program for m in models]))


def assert_equal(ours: Recording, theirs: Recording) -> None:
    """Spikes, currents and voltages equal, as integers, at every step of every neuron."""
    assert list(ours.spikes) == list(theirs.spikes)
    for name in ours.spikes:
        assert np.array_equal(ours.spikes[name], theirs.spikes[name]), f"spikes of {name}"
        assert ours.u[name].dtype.kind == theirs.u[name].dtype.kind == "i"
        assert np.array_equal(ours.u[name], theirs.u[name]), f"u of {name}"
        assert np.array_equal(ours.v[name], theirs.v[name]), f"v of {name}"


def models_of(seeds: range, *, portable: bool) -> tuple[list[SpikingModel], list[NDArray[np.float64]]]:
    """Generated graphs that the chip can hold, with integers fitted on their inputs."""
    models, inputs = [], []
    for seed in seeds:
        graph = random_graph(seed, portable=portable)
        lines = flatten(graph).lines
        x = (np.random.default_rng(seed).random((STEPS, lines)) < 0.4).astype(float)
        try:
            models.append(model_of_graph(graph, STEPS, x))
        except Unsupported:
            continue
        inputs.append(x)
    return models, inputs


@pytest.mark.parametrize("first", [0, 1000])
def test_on_generated_graphs_emulator_is_lava_fixed_and_reference_is_lava_float(
    lava: SpikingTarget, first: int
) -> None:
    """Sixteen of each kind; 240 more in the slow tests."""
    held_to_lava(lava, range(first, first + 16), portable=first == 0)


@pytest.mark.slow
@pytest.mark.parametrize("portable", [True, False])
@pytest.mark.parametrize("first", range(100, 220, 30))
def test_on_two_hundred_generated_graphs_too(lava: SpikingTarget, first: int, portable: bool) -> None:
    """240 in eight runs; of each 30, 25 fire at least."""
    assert held_to_lava(lava, range(first, first + 30), portable=portable) >= 25


def held_to_lava(lava: SpikingTarget, seeds: range, *, portable: bool) -> int:
    """How many of the graphs fired; recurrent ones, delays, sparse rows and populations that never fire among them."""
    models, inputs = models_of(seeds, portable=portable)
    model, x = together(models), np.concatenate(inputs, axis=1)
    fixed = lava.run(model, x, "fixed", states=True)
    emulated = target("loihi").run(model, x, "fixed", states=True)
    assert_equal(emulated, fixed)
    assert set(emulated.values) == set(fixed.values)
    assert all(np.array_equal(values, fixed.values[name]) for name, values in emulated.values.items())
    floats, fired = lava.run(model, x, "float"), 0
    for k, (one, its) in enumerate(zip(models, inputs, strict=True)):
        right = target("reference").run(one, its, "float")
        for name, spikes in right.spikes.items():
            assert np.array_equal(spikes, floats.spikes[f"{k}.{name}"]), f"net {k}, {name}"
        bounds = apart(lower(absolute(one.graph), STEPS), its, right.spikes)
        for name, values in right.values.items():
            assert (np.abs(values - floats.values[f"{k}.{name}"]) <= bounds[name]).all(), name
        fired += all(s.any() for s in right.spikes.values())
    return fired


# --- neurons that numbers drive one to one ----------------------------------------------------------------------------


@st.composite
def one_to_one_nets(draw: st.DrawFn) -> tuple[Program, NDArray[np.float64]]:
    """Two layers of integers, one line a neuron: numbers that reach the last bit of u and clip v, of either sign."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(1, 40))
    low, high = draw(st.sampled_from([(1, 1), (-1, -1), (1, 255), (-255, -1), (-256, 254)]))
    weights = rng.integers(low, high + 1, size).astype(np.int32)
    weights = weights & ~1 if low < 0 < high else weights
    largest = (2**17 - 1) // max(1, int(np.abs(weights).max()))
    top = draw(st.sampled_from([3, 400, largest]))
    populations = [
        Population(
            name=f"p{depth}",
            size=size,
            du=4095,
            dv=draw(st.sampled_from([0, 1, 1024, 2731, 4095])),
            vth=draw(st.sampled_from([0, 0, 5, 100000])),
            bias=(rng.integers(-40, 41, size) * draw(st.booleans())).astype(np.int32),
            bias_exp=6,
            depth=depth,
        )
        for depth in (1, 2)
    ]
    second = rng.integers(0, 10, size).astype(np.int32)
    projections = [Projection("input", "p1", Weights(weights)), Projection("p1", "p2", Weights(second))]
    program = Program("fixed", STEPS, size, tuple(populations), tuple(projections), input_scale=1.0)
    return program, rng.integers(-top, top + 1, (STEPS, size)).astype(float)


def test_on_generated_one_to_one_nets_the_emulator_is_lava_bit_by_bit(lava: SpikingTarget) -> None:
    """Lava's own Sparse, its spikes graded: whole numbers of 17 bits and a sign."""
    seen: list[bool] = []

    @settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(one_to_one_nets())
    def check(net: tuple[Program, NDArray[np.float64]]) -> None:
        program, inputs = net
        model = SpikingModel(nir.NIRGraph({}, []), program, program)
        ours = target("loihi").run(model, inputs, "fixed", states=True)
        assert_equal(ours, lava.run(model, inputs, "fixed", states=True))
        seen.append(bool(ours.spikes["p1"].any()))

    check()
    assert any(seen)


def test_the_factors_of_lorsp_fire_on_lava_as_on_the_emulator_and_the_reference(lava: SpikingTarget) -> None:
    prompt = Prompt.named("lorsp", site=PromptSite(2, 32, (3, 24, 20), 4), deviation=0.3)
    gated = prompt.eval().gated()
    assert gated is not None
    factors = gated.factors(torch.rand(3, 3, 24, 20)).detach().flatten(2).double().numpy()
    one = spiking_model(gated.generator, factors[0])
    model = one.lanes(3)
    inputs = np.concatenate(list(factors), axis=1)
    floats = lava.run(model, inputs, "float", states=True)
    right = target("reference").run(model, inputs, "float", states=True)
    assert_equal(
        target("loihi").run(model, inputs, "fixed", states=True), lava.run(model, inputs, "fixed", states=True)
    )
    for k, lane in enumerate(factors):  # lanes are runs of their own
        alone = target("loihi").run(one, lane, "fixed").spikes["lif0"]
        assert np.array_equal(
            alone, target("loihi").run(model, inputs, "fixed").spikes["lif0"][:, k * 1440 :][:, :1440]
        )
    others = [floats, *(target(name).run(model, inputs, "float", states=True) for name in ("loihi", "snntorch"))]
    for other in others:
        assert np.array_equal(other.spikes["lif0"], right.spikes["lif0"])
        assert np.array_equal(other.v["lif0"], right.v["lif0"])
    assert 0.2 < right.spikes["lif0"].mean() < 0.5


# --- corners of the integers -----------------------------------------------------------------------------------------


def fixed_program(populations: list[Population], projections: list[Projection]) -> Program:
    return Program("fixed", STEPS, LINES, tuple(populations), tuple(projections))


def whole(low: int, high: int, *shape: int) -> NDArray[np.int32]:
    return np.random.default_rng(low % 1000 + high).integers(low, high + 1, shape).astype(np.int32)


def test_corners_that_wrap_clip_and_truncate_are_lavas(lava: SpikingTarget) -> None:
    none = np.zeros(4, np.int32)
    corners = [
        ("u wraps", Population("", 4, 0, 4095, 99999, none, 0, 1), np.full((4, LINES), 255, np.int32)),
        ("u wraps down", Population("", 4, 0, 4095, 99999, none, 0, 1), np.full((4, LINES), -255, np.int32)),
        ("v clips", Population("", 4, 4095, 0, 131071, none, 0, 1), np.full((4, LINES), -255, np.int32)),
        ("u and v remember", Population("", 4, 700, 311, 900, none, 0, 1), whole(-30, 40, 4, LINES) & ~1),
        ("odd beside negative", Population("", 4, 4095, 50, 300, none, 0, 1), whole(-255, 255, 4, LINES) | 1),
        (
            "lowest mixed",
            Population("", 4, 4095, 50, 300, none, 0, 1),
            np.tile(whole(-256, -250, 1, LINES) * (-1) ** np.arange(LINES), (4, 1)).clip(-256, 255),
        ),
        ("lowest inhibiting", Population("", 4, 4095, 5, 1, none, 0, 1), -whole(200, 256, 4, LINES)),
        ("late bias", Population("", 4, 4095, 5, 400, whole(-50, 80, 4), 6, 1), whole(0, 9, 4, LINES)),
        ("nothing arrives", Population("", 4, 4095, 5, 9, whole(1, 40, 4), 6, 1), np.zeros((4, LINES), np.int32)),
    ]
    biases = [(4095, 7, 0), (-4096, 7, 0), (1, 0, 0), (4095, 0, 4095), (3000, 6, 4095), (-3000, 5, 17)]
    populations = [replace(p, name=name) for name, p, _ in corners]
    populations += [
        Population(f"bias {b} << {e}, dv {dv}", 1, 4095, dv, 2000, np.array([b], np.int32), e) for b, e, dv in biases
    ]
    program = fixed_program(populations, [Projection("input", name, Weights(w)) for name, _, w in corners])
    busy = (np.random.default_rng(1).random((STEPS, LINES)) < 0.9).astype(float)
    ours = simulate(program, busy)
    theirs = lava.run(SpikingModel(nir.NIRGraph({}, []), program, program), busy, "fixed", states=True)
    emulated = {k: {n: getattr(t, k) for n, t in ours.items()} for k in ("spikes", "u", "v")}
    assert_equal(Recording(emulated["spikes"], 0.0, emulated["v"], emulated["u"]), theirs)
    assert ours["u wraps"].wrapped
    assert ours["u wraps down"].wrapped
    assert ours["v clips"].clipped
    assert all(t.v.any() or t.spikes.any() for t in ours.values())


def test_two_layers_may_lag_and_meet_the_input_again_only_in_step(lava: SpikingTarget) -> None:
    """The second layer's bias begins two chip steps late, and its rows are still the trained model's."""
    first = Population("first", 5, 4095, 0, 3, np.zeros(5, np.int32), 0, 1)
    second = Population("second", 3, 4095, 0, 50, np.array([7, 25, 60], np.int32), 6, 2)
    silent = np.zeros((STEPS, LINES))
    projections = [
        Projection("input", "first", Weights(whole(1, 9, 5, LINES))),
        Projection("first", "second", Weights(whole(1, 9, 3, 5))),
    ]
    program = fixed_program([first, second], projections)
    recording = lava.run(SpikingModel(nir.NIRGraph({}, []), program, program), silent, "fixed", states=True)
    assert not recording.spikes["first"].any()
    assert recording.v["second"][0].tolist() == [7 << 6, 25 << 6, 0]
    assert recording.spikes["second"][:, 0].nonzero()[0].tolist() == [7, 15]
    assert recording.spikes["second"][:, 2].all()
    assert recording.delay == {"first": 1, "second": 2}


# --- what is deployed -------------------------------------------------------------------------------------------------


def test_a_prompt_of_vit_b_size_is_exact(lava: SpikingTarget) -> None:
    prompt = Prompt.named("spike-nvpt", site=PromptSite(12, 768, (3, 224, 224), 16), tokens=10, steps=4)
    generator = prompt.generator()
    assert generator is not None
    model = spiking_model(generator)
    inputs = np.zeros((4, model.fixed_program.inputs))
    right = target("reference").run(model, inputs, "float")
    (spikes,) = right.spikes.values()
    assert spikes.shape == (4, 12 * 10 * 768)
    assert spikes.any()
    fixed, floats = (lava.run(model, inputs, p, states=p == "fixed") for p in ("fixed", "float"))
    assert_equal(target("loihi").run(model, inputs, "fixed", states=True), fixed)
    for other in (fixed, floats, target("snntorch").run(model, inputs, "float")):
        assert np.array_equal(next(iter(other.spikes.values())), spikes)
