"""Wide weights in any graph: recurrence, delays, currents, numbers; on a Loihi 1 too, and on other emulators."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import nir
import numpy as np
import pytest
from fixed_nets import side_by_side
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_graphs import random_graph

from neuroprompt.compiler.compile import model_of_graph, model_of_items
from neuroprompt.compiler.lower import lower
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import NeuropromptError, Unsupported
from neuroprompt.loihi.arithmetic import simulate, simulate_sent
from neuroprompt.loihi.loihi1 import simulate_loihi1
from neuroprompt.loihi.ranges import check_range
from neuroprompt.spiking.program import Population, Program

STEPS, RUNS = 20, 2
Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Overlaid = Callable[[str], SpikingTarget]


def whole_weights(program: Program, source: str, target: str, lag: int) -> Array:
    """What all lists between two populations hold together, (out, in), in weight units."""
    lists = [q for q in program.into(target) if (q.source, q.lag) == (source, lag)]
    return np.asarray(sum(q.weights.dense() * 2.0**q.exponent for q in lists))


@given(seed=st.integers(0, 2**31), numbers=st.booleans(), bits=st.sampled_from([9, 12, 16]))
@example(seed=3, numbers=False, bits=16)
@example(seed=8, numbers=True, bits=16)
@settings(max_examples=8)
def test_integers_of_any_graph_are_within_a_unit_and_do_what_the_report_says(
    seed: int, numbers: bool, bits: int
) -> None:
    graph, rng = random_graph(seed), np.random.default_rng(seed)
    drawn = rng.random((RUNS, STEPS, lower(graph, STEPS).inputs))
    items = drawn if numbers else (drawn < 0.4).astype(float)
    model = model_of_items(graph, items, wide=Wide(bits))
    if model.quantisation_error is not None:
        assert isinstance(model.quantisation_error, Unsupported)
        return
    floats, fixed, report = model.float_program, model.fixed_program, model.scale_report
    check_range(fixed)
    assert json.loads(json.dumps(report)) == report
    traces = {program.precision: simulate(program, items) for program in (floats, fixed)}
    for p in floats.populations:
        said = report["populations"][p.name]
        ours, wanted = traces["fixed"][p.name], traces["float"][p.name].spikes
        if p.emits == "spikes":
            assert said["spike_match"] == (ours.spikes == wanted).mean()
        assert said["overflow_u"] == np.sum(ours.wrapped)
        assert said["overflow_v"] == np.sum(ours.clipped)
    thresholds = {p.name: np.asarray(p.vth) for p in floats.populations}
    for q in floats.projections:
        same = [each for each in floats.into(q.target) if (each.source, each.lag) == (q.source, q.lag)]
        clipped = [each["clipped"] for key, each in report["projections"].items() if key.endswith(f"-> {q.target}")]
        if fixed.input_scale or len(same) > 1 or len(clipped) != 1 or clipped[0] or thresholds[q.target].ndim:
            continue  # of numbers the lines have a scale too; of several thresholds each row has a factor
        scale = report["populations"][q.target]["scale"]
        off = np.abs(whole_weights(fixed, q.source, q.target, q.lag) - q.weights.dense() * scale)
        assert off.max(initial=0) <= 1 + 1e-9  # rounded to even, or either way; 1e-9 of 16 bits in float64


def wide_nets(seed: int, chip: Any = "loihi2") -> Iterator[tuple[Program, Array]]:
    """Programs with wide weights that fire, and spikes for them."""
    while True:
        graph, rng = random_graph(seed), np.random.default_rng(seed)
        seed += 1
        inputs = (rng.random((25, lower(graph, 25).inputs)) < 0.4).astype(float)
        try:
            model = model_of_graph(graph, 25, inputs, wide=Wide(agreement=1.0, chip=chip)).on(chip)
        except NeuropromptError:
            continue
        if model.scale_report["spike_match"] > 0.5:
            yield model.fixed_program, inputs


def equal_states(target: SpikingTarget, nets: list[tuple[Program, Array]]) -> int:
    """Spikes of all nets side by side, equal to our emulator's, and u and v with them."""
    model, inputs = side_by_side(nets)
    ours, theirs = (t.run(model, inputs, "fixed", states=True) for t in (SpikingTarget.named("loihi"), target))
    for kind in ("spikes", "u", "v"):
        mine, other = getattr(ours, kind), getattr(theirs, kind)
        assert all(np.array_equal(mine[name], other[name]) for name in mine)
    lists = [(q.source, q.target, q.lag) for q in model.fixed_program.projections]
    assert len(lists) > len(set(lists))  # several between the same two
    assert any(q.exponent for q in model.fixed_program.projections)
    return sum(int(spikes.sum()) for spikes in ours.spikes.values())


@pytest.mark.slow
def test_nengo_loihi_has_the_same_integers_on_either_chip(overlaid: Overlaid) -> None:
    target = overlaid("nengo-loihi")

    def can(program: Program, inputs: Array) -> bool:
        try:
            target.check(program)  # type: ignore[attr-defined]
            target.check_rules(program, program.encode(inputs))  # type: ignore[attr-defined]
        except Unsupported:
            return False
        return True

    for chip, seed in (("loihi2", 0), ("loihi1", 500)):
        nets = list(islice((net for net in wide_nets(seed, chip) if can(*net)), 3))
        assert {program.chip for program, _ in nets} == {chip}
        assert equal_states(target, nets) > 100


@pytest.mark.slow
def test_brian2loihi_has_the_same_integers(overlaid: Overlaid) -> None:
    target = overlaid("brian2loihi")

    def plain(program: Program) -> Program:
        def of(p: Population) -> Population:
            du, dv, vth = (int(np.max(value)) for value in (p.du, p.dv, p.vth))
            return replace(p, bias=0 * p.bias, currents=(), du=du, dv=dv, vth=vth)

        return replace(program, populations=tuple(map(of, program.populations)))

    def inside(program: Program, inputs: Array) -> bool:
        sent = program.encode(inputs)
        traces = [*simulate_loihi1(program, sent).values(), *simulate_sent(program, sent).values()]
        return not any(t.wrapped or t.clipped for t in traces)

    nets = ((plain(program), inputs) for program, inputs in wide_nets(900))
    assert equal_states(target, list(islice((net for net in nets if inside(*net)), 4))) > 100


def test_on_a_loihi_1_wide_weights_leave_its_sums_alone() -> None:
    """40 lines and a high threshold: integers fitted for a Loihi 2 wrap there, and those fitted for it do not."""
    rng, ones = np.random.default_rng(1), np.ones(12)
    inputs = (rng.random((400, 40)) < 0.5).astype(float)
    weight = np.abs(rng.normal(0.5, 0.15, (12, 40)))
    graph = nir.NIRGraph.from_list(nir.Linear(weight), nir.IF(r=ones, v_threshold=20 * ones, v_reset=0 * ones))
    wrapped: dict[str, int] = {}
    for wide in (Wide(agreement=1.0, chip="loihi1"), Wide(agreement=1.0)):
        program = model_of_graph(graph, 400, inputs, wide=wide).on("loihi1").fixed_program
        (trace,) = simulate_loihi1(program, program.encode(inputs)).values()
        wrapped[wide.chip] = int(trace.wrapped)
    assert wrapped["loihi1"] == 0 < wrapped["loihi2"]
