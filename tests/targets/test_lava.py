"""The real Lava simulator against the reference and our emulator, bit by bit, on generated and on deployed nets."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from neuroprompt.contracts import Prompt, Recording, Site, SpikingTarget, Target
from neuroprompt.deploy import model_of_graph, spiking_model
from neuroprompt.loihi_arithmetic import simulate
from neuroprompt.neurons import DT_SECONDS
from neuroprompt.program import Model, Population, Program, Projection

STEPS, LINES = 16, 64
NETS_PER_RUN = 19
INPUTS = (np.random.default_rng(7).random((STEPS, LINES)) < 0.4).astype(float)


def target(name: str) -> SpikingTarget:
    found = Target.named(name)
    assert isinstance(found, SpikingTarget)
    return found


# --- generated nets --------------------------------------------------------------------------------------------------


@st.composite
def nets(draw: st.DrawFn) -> nir.NIRGraph:
    """A chain of one to three layers of IF or LIF neurons, driven by spikes or (first layer) by a constant current."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    taus = [draw(st.sampled_from([0.0, 1.5, 4.0, 20.0])) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3])))]
    constant = draw(st.booleans())
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array([LINES])})}
    before = LINES
    for i, tau in enumerate(taus):
        size = draw(st.integers(1, 12))
        low = draw(st.sampled_from([-0.5, 0.0]))  # mixed or excitatory weights
        weight = rng.uniform(low, 1.0, (size, before)) * 4 / np.sqrt(before)
        bias = rng.uniform(-0.3, 0.8, size) * draw(st.booleans())
        if i == 0 and constant:
            weight, bias = np.zeros_like(weight), rng.uniform(-0.5, 1.5, size)
        vth = np.full(size, draw(st.sampled_from([0.0, 0.7, 1.0, 2.3])))
        zeros, ones = np.zeros(size), np.ones(size)
        nodes[f"w{i}"] = nir.Affine(weight, bias)
        if tau:
            nodes[f"n{i}"] = nir.LIF(tau=ones * tau * DT_SECONDS, r=ones, v_leak=zeros, v_threshold=vth, v_reset=zeros)
        else:
            nodes[f"n{i}"] = nir.IF(r=ones, v_threshold=vth, v_reset=zeros)
        before = size
    nodes["output"] = nir.Output({"output": np.array([before])})
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)))


def side_by_side(programs: list[Program]) -> Program:
    """Programs that share nothing but the input lines, as one: starting and stopping Lava costs more than a run."""
    return replace(
        programs[0],
        populations=tuple(replace(p, name=f"{k}.{p.name}") for k, one in enumerate(programs) for p in one.populations),
        projections=tuple(
            replace(p, source=p.source if p.source == "input" else f"{k}.{p.source}", target=f"{k}.{p.target}")
            for k, one in enumerate(programs)
            for p in one.projections
        ),
    )


def together(models: list[Model]) -> Model:
    floats = side_by_side([m.float_program for m in models])
    return Model(models[0].graph, floats, side_by_side([m.fixed_program for m in models]))


def assert_equal(ours: Recording, theirs: Recording) -> None:
    """Spikes, currents and voltages equal, as integers, at every step of every neuron."""
    assert list(ours.spikes) == list(theirs.spikes)
    for name in ours.spikes:
        assert np.array_equal(ours.spikes[name], theirs.spikes[name]), f"spikes of {name}"
        assert ours.u[name].dtype.kind == theirs.u[name].dtype.kind == "i"
        assert np.array_equal(ours.u[name], theirs.u[name]), f"u of {name}"
        assert np.array_equal(ours.v[name], theirs.v[name]), f"v of {name}"


@pytest.mark.slow
def test_on_fifty_generated_nets_emulator_is_lava_fixed_and_reference_is_lava_float(lava: SpikingTarget) -> None:
    counted = 0

    @settings(
        max_examples=4,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(nets(), min_size=NETS_PER_RUN, max_size=NETS_PER_RUN))
    def check(graphs: list[nir.NIRGraph]) -> None:
        nonlocal counted
        models = [model_of_graph(graph, STEPS, INPUTS) for graph in graphs]
        model = together(models)
        fixed = lava.run(model, INPUTS, "fixed", states=True)
        assert_equal(target("loihi").run(model, INPUTS, "fixed", states=True), fixed)
        floats = lava.run(model, INPUTS, "float")
        for k, one in enumerate(models):
            right = target("reference").run(one, INPUTS, "float")
            for name, spikes in right.spikes.items():
                assert np.array_equal(spikes, floats.spikes[f"{k}.{name}"]), f"net {k}, {name}"
            last, spikes = list(right.spikes.items())[-1]
            counted += bool(spikes.any() and fixed.spikes[f"{k}.{last}"].any())

    check()
    assert counted >= 50


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
    projections = [Projection("input", "p1", weights), Projection("p1", "p2", second)]
    program = Program("fixed", STEPS, size, tuple(populations), tuple(projections), input_scale=1.0)
    return program, rng.integers(-top, top + 1, (STEPS, size)).astype(float)


def test_on_generated_one_to_one_nets_the_emulator_is_lava_bit_by_bit(lava: SpikingTarget) -> None:
    """Lava's own Sparse, its spikes graded: whole numbers of 17 bits and a sign."""
    seen: list[bool] = []

    @settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(one_to_one_nets())
    def check(net: tuple[Program, NDArray[np.float64]]) -> None:
        program, inputs = net
        model = Model(nir.NIRGraph({}, []), program, program)
        ours = target("loihi").run(model, inputs, "fixed", states=True)
        assert_equal(ours, lava.run(model, inputs, "fixed", states=True))
        seen.append(bool(ours.spikes["p1"].any()))

    check()
    assert any(seen)


def test_the_factors_of_lorsp_fire_on_lava_as_on_the_emulator_and_the_reference(lava: SpikingTarget) -> None:
    prompt = Prompt.named("lorsp", site=Site(2, 32, (3, 24, 20), 4), deviation=0.3)
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
    program = fixed_program(populations, [Projection("input", name, w) for name, _, w in corners])
    busy = (np.random.default_rng(1).random((STEPS, LINES)) < 0.9).astype(float)
    ours = simulate(program, busy)
    theirs = lava.run(Model(nir.NIRGraph({}, []), program, program), busy, "fixed", states=True)
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
        Projection("input", "first", whole(1, 9, 5, LINES)),
        Projection("first", "second", whole(1, 9, 3, 5)),
    ]
    program = fixed_program([first, second], projections)
    recording = lava.run(Model(nir.NIRGraph({}, []), program, program), silent, "fixed", states=True)
    assert not recording.spikes["first"].any()
    assert recording.v["second"][0].tolist() == [7 << 6, 25 << 6, 0]
    assert recording.spikes["second"][:, 0].nonzero()[0].tolist() == [7, 15]
    assert recording.spikes["second"][:, 2].all()
    assert recording.delay == {"first": 1, "second": 2}


# --- what is deployed -------------------------------------------------------------------------------------------------


def test_a_prompt_of_vit_b_size_is_exact(lava: SpikingTarget) -> None:
    prompt = Prompt.named("spike-nvpt", site=Site(12, 768, (3, 224, 224), 16), tokens=10, steps=4)
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
