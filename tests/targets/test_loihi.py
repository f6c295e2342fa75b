"""The emulator's integers, held to values worked out by hand and to a plain scalar model on the chip's own clock."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import OutOfRange, Unsupported
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.loihi.neurons import step_fixed
from neuroprompt.loihi.ranges import check_range
from neuroprompt.loihi.synapses import stored_weights
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

NO_GRAPH = nir.NIRGraph({}, [], type_check=False)


def population(n: int = 1, **other: object) -> Population:
    plain = Population("p", n, du=4095, dv=0, vth=100, bias=np.zeros(n, np.int32), bias_exp=6, depth=0)
    return replace(plain, **other)  # type: ignore[arg-type]


def test_dense_keeps_even_weights_where_signs_are_mixed() -> None:
    assert stored_weights(np.array([[3, 300, -5]])).tolist() == [[2, 254, -6]]
    assert stored_weights(np.array([[3, -300, -5]])).tolist() == [[2, -256, -6]]
    assert stored_weights(np.array([[3, 300, 0]])).tolist() == [[3, 255, 0]]
    assert stored_weights(np.array([[-3, -300, 0]])).tolist() == [[-3, -255, 0]]


def test_decay_goes_towards_zero() -> None:
    # v: 0 -> -5 -> trunc(-5 * 2048/4096) = -2, -2 - 5 = -7, ...
    biased = population(bias=np.array([-5], np.int32), bias_exp=0, dv=2048)
    assert step_fixed(biased, np.zeros((4, 1), np.int64)).v[:, 0].tolist() == [-5, -7, -8, -9]
    # u: 1 << 6 = 64, decays by (4096 - 1 - 1) / 4096 downwards: 63, 62, ...
    current = step_fixed(population(du=1, vth=2**17 - 1), np.array([[1], [0], [0]]))
    assert current.u[:, 0].tolist() == [64, 63, 62]


def test_threshold_is_strict_and_shifted_by_six() -> None:
    at = population(bias=np.array([100], np.int32))
    assert step_fixed(at, np.zeros((3, 1), np.int64)).spikes[:, 0].tolist() == [False, True, False]
    assert step_fixed(replace(at, vth=99), np.zeros((2, 1), np.int64)).spikes.all()


def test_current_wraps_and_potential_clips() -> None:
    wrapped = step_fixed(population(), np.array([[131072], [131073], [-131072], [-131071]]))
    assert wrapped.u[:, 0].tolist() == [2**23, -(2**23) + 64, 2**23, -(2**23) + 64]
    assert wrapped.wrapped == 2
    clipped = step_fixed(population(), np.array([[-131071], [-131071]]))
    assert clipped.v[:, 0].tolist() == [-(2**23) + 64, -(2**23) + 1]
    assert clipped.clipped == 1


@st.composite
def programs(draw: st.DrawFn) -> tuple[Program, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    steps = draw(st.integers(1, 10))
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    largest = draw(st.sampled_from([3, 255]))
    populations, projections = [], []
    for depth, (n_in, n) in enumerate(pairwise(sizes), start=1):
        sign = rng.integers(0, 3)
        low, high = [(0, largest), (-largest, 0), (-largest, largest)][sign]
        populations.append(
            Population(
                name=f"p{depth}",
                size=n,
                du=draw(st.sampled_from([4095, int(rng.integers(0, 4096))])),
                dv=draw(st.sampled_from([0, int(rng.integers(0, 4096))])),
                vth=int(rng.integers(0, 2 * largest)),
                bias=rng.integers(-largest, 2 * largest, n).astype(np.int32),
                bias_exp=6,
                depth=depth,
            )
        )
        source = "input" if depth == 1 else f"p{depth - 1}"
        weights = rng.integers(low, high + 1, (n, n_in)).astype(np.int32)
        projections.append(Projection(source, f"p{depth}", Weights(weights)))
    inputs = (rng.random((steps, sizes[0])) < 0.6).astype(np.float64)
    return Program("fixed", steps, sizes[0], tuple(populations), tuple(projections)), inputs


def on_the_chip(
    program: Program, inputs: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> dict[str, list[list[tuple[bool, int, int]]]]:
    """Plain Python integers, one neuron and one chip step at a time; a projection delivers one step late."""
    chip_steps = program.steps + program.depth
    at = {p.name: [[0, 0] for _ in range(p.size)] for p in program.populations}
    sent = {"input": [0] * program.inputs} | {p.name: [0] * p.size for p in program.populations}
    done: dict[str, list[list[tuple[bool, int, int]]]] = {p.name: [] for p in program.populations}
    for step in range(chip_steps):
        before = dict(sent)
        sent["input"] = [int(x) for x in inputs[step]] if step < program.steps else [0] * program.inputs
        for p in program.populations:
            row = []
            for i, state in enumerate(at[p.name]):
                a = int(p.bias[i]) if p.depth and step >= p.depth else 0
                for q in program.into(p.name):
                    weights = [int(w) for w in q.weights.values.ravel()]
                    mixed = min(weights) < 0 < max(weights)
                    for j, spike in enumerate(before[q.source]):
                        w = int(q.weights.raw[i, j])
                        a += (w // 2 * 2 if mixed else w) * spike
                u = state[0] * (4096 - p.du - 1)
                u = (u // 4096 if u >= 0 else -(-u // 4096)) + a * 64
                v = state[1] * (4096 - p.dv)
                v = (v // 4096 if v >= 0 else -(-v // 4096)) + u
                fired = bool(v > p.vth * 64)
                at[p.name][i] = [int(u), 0 if fired else int(v)]
                row.append((fired, int(u), 0 if fired else int(v)))
            done[p.name].append(row)
            sent[p.name] = [int(fired) for fired, _, _ in row]
    return {p.name: done[p.name][p.depth : p.depth + program.steps] for p in program.populations}


@given(programs())
@settings(deadline=None, max_examples=60)
def test_equals_a_scalar_model_on_the_chips_clock(
    given_: tuple[Program, np.ndarray[tuple[int, ...], np.dtype[np.float64]]],
) -> None:
    program, inputs = given_
    chip = on_the_chip(program, inputs)
    for name, trace in simulate(program, inputs).items():
        rows = zip(trace.spikes.tolist(), trace.u.tolist(), trace.v.tolist(), strict=True)
        ours = [list(zip(*row, strict=True)) for row in rows]
        assert ours == chip[name]


def fixed(weights: list[list[int | float]], **other: object) -> Program:
    w = np.array(weights)
    return Program(
        "fixed", 3, w.shape[1], (population(w.shape[0], depth=1, **other),), (Projection("input", "p", Weights(w)),)
    )


@pytest.mark.parametrize(
    ("program", "what"),
    [
        (fixed([[1000, 2]]), "a weight from 'input' to 'p' is 1000"),
        (fixed([[-256, -2]]), "is -256"),
        (fixed([[0.9, 2]]), r"is 0\.9"),
        (fixed([[3, -2]]), "is 3, odd beside"),
        (fixed([[1, 2]], vth=2**17), "threshold of 'p' is 131072"),
        (fixed([[1, 2]], dv=4096), "dv of 'p' is 4096"),
        (fixed([[1, 2]], bias=np.array([4096])), "bias of 'p' is 4096"),
        (fixed([[1, 2]], bias_exp=3), "exponent 3"),
    ],
)
def test_values_that_the_chip_would_change_are_refused(program: Program, what: str) -> None:
    with pytest.raises(OutOfRange, match=what):
        check_range(program)
    target = SpikingTarget.named("loihi")
    with pytest.raises(OutOfRange, match=what):
        target.run(SpikingModel(NO_GRAPH, program, program), np.ones((3, 2)), "fixed")


def test_the_emulator_takes_spikes_of_the_right_shape() -> None:
    target = SpikingTarget.named("loihi")
    program = fixed([[2, 4]], vth=5)
    model = SpikingModel(NO_GRAPH, program, program)
    recording = target.run(model, np.ones((3, 2)), "fixed", states=True)
    assert recording.spikes["p"].ravel().tolist() == [True, True, True]
    assert recording.u["p"].ravel().tolist() == [384, 384, 384]
    assert recording.delay == {"p": 1}
    assert target.run(model, np.ones((3, 2)), "fixed").v == {}
    with pytest.raises(Unsupported, match="0 and 1"):
        target.run(model, np.full((3, 2), 0.5), "fixed")
    with pytest.raises(Unsupported, match="shape"):
        target.run(model, np.ones((4, 2)), "fixed")
