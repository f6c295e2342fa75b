"""Counts of spiking programs: against loops that follow every event, for all forms of weights, lags and numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal

import nir
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.energy.count_spikes import by_image, count
from neuroprompt.spiking.activity import Activity
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights


@st.composite
def runs(draw: st.DrawFn) -> tuple[Program, Recording, Any]:
    """Two populations (the second may never fire), projections of every form, any lag; inputs of any kind."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps, n = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    emits: Literal["spikes", "v"] = draw(st.sampled_from(["spikes", "v"]))
    populations = (
        Population("a", n, draw(st.sampled_from([1.0, 0.5])), 0.2, 1.0, rng.integers(0, 2, n).astype(float)),
        Population("b", n, 1.0, 0.0, 1.0, np.zeros(n), emits=emits),
    )

    def weights() -> Any:
        form = draw(st.sampled_from(["one", "dense", "sparse"]))
        matrix = rng.integers(-1, 2, (n, n)).astype(float)
        if form == "one":
            return matrix[0]
        return matrix if form == "dense" else csr_matrix(matrix)

    lag = st.integers(0, steps)
    pairs = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
    projections = tuple(Projection(s, t, Weights(weights()), lag=draw(lag)) for s, t in pairs)
    numbers = rng.integers(0, 2, (steps, n)) * draw(st.sampled_from([1.0, 0.5, -1.0]))
    fired = rng.random((2, steps, n)) < 0.4
    spikes = {"a": fired[0]} | ({"b": fired[1]} if emits == "spikes" else {})
    values = {} if emits == "spikes" else {"b": np.where(fired[1], rng.integers(1, 3, (steps, n)), 0)}
    recording = Recording(spikes, 0.0, values=values, v={"a": rng.integers(0, 2, (steps, n)).astype(float)})
    return Program("float", steps, n, populations, projections), recording, numbers


def followed(program: Program, recording: Recording, inputs: Any) -> tuple[int, int]:
    """(synops, those that multiply), event by event."""
    synops = graded = 0
    emitted = {"input": inputs, **recording.spikes, **recording.values}
    for p in program.projections:
        matrix = p.weights.dense()
        for t in range(program.steps):
            if t + p.lag >= program.steps:
                continue
            row = np.asarray(emitted[p.source][t], float)
            met = sum(int((matrix[:, i] != 0).sum()) for i in np.flatnonzero(row))
            synops += met
            graded += met if set(np.abs(row)) - {0, 1} else 0
    return synops, graded


@given(runs())
def test_every_event_meets_its_weights(run: tuple[Program, Recording, Any]) -> None:
    program, recording, inputs = run
    census = count(program, recording, inputs)
    total = census.total
    assert (total.synops, total.synops_graded) == followed(program, recording, inputs)
    assert total.synops <= total.synops_dense
    assert 0 <= total.rate <= 1
    assert total.spikes == sum(int(s.sum()) for s in recording.spikes.values()) == total.updates_active
    assert total.updates == sum(p.size for p in program.populations) * program.steps
    a, b = census.nodes
    states = 2 if program.populations[0].du == 0.5 else 1
    assert a.activity.states == 2 * states * a.activity.updates
    assert b.activity.states == 2 * b.activity.updates
    assert total.reads == total.synops + program.steps * int(program.populations[0].bias.sum())
    changed = (np.diff(recording.v["a"], axis=0) != 0).sum()
    assert a.membrane_updates == a.neurons + changed
    assert b.membrane_updates is None
    plain = census.json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    events = sum(int((x != 0).sum()) for x in (*recording.spikes.values(), *recording.values.values()))
    assert plain["activation_sparsity"] == 1 - events / total.updates


@given(runs(), st.integers(1, 3))
def test_lanes_are_counted_one_by_one(run: tuple[Program, Recording, Any], images: int) -> None:
    program, recording, inputs = run
    wide = Recording(
        {name: np.concatenate([s] * images, axis=1) for name, s in recording.spikes.items()},
        0.0,
        values={name: np.concatenate([x] * images, axis=1) for name, x in recording.values.items()},
        v={name: np.concatenate([x] * images, axis=1) for name, x in recording.v.items()},
    )
    lanes = by_image(program, wide, np.concatenate([inputs] * images, axis=1), images)
    assert lanes == [count(program, recording, inputs)] * images


@given(st.lists(st.integers(0, 10**6), min_size=9, max_size=9), st.integers(1, 5))
def test_the_mean_of_equal_runs_is_one_of_them(terms: list[int], images: int) -> None:
    one = Activity(*terms)
    assert sum((one for _ in range(images)), Activity()).over(images) == one
    assert one.acs + one.synops_graded == one.synops


@given(steps=st.integers(250, 800), seed=st.integers(0, 99))
def test_long_runs_are_counted_whole(steps: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sent = (rng.random((steps, 3)) < 0.99).astype(float)
    layer = Population("a", 3, 1.0, 0.2, 1.0, np.zeros(3))
    program = Program("float", steps, 3, (layer,), (Projection("input", "a", Weights(np.ones(3))),))
    found = count(program, Recording({"a": sent > 0}, 0.0), sent).total
    assert found.synops == found.spikes == int(sent.sum())


@given(rate=st.sampled_from([0.01, 0.3, 1.0]), weight=st.integers(-64, 64), seed=st.integers(0, 99))
def test_what_a_target_kept_of_its_inputs_is_what_encode_makes(rate: float, weight: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = Population("a", 4, 4095, 1024, 300, np.zeros(4, np.int32), 6, depth=1)
    projections = (Projection("input", "a", Weights(np.array([2 * weight, 2, 0, 4], np.int32))),)
    program = Program("fixed", 7, 4, (layer,), projections, input_scale=[0.4, 1.0, 9.0][seed % 3])
    inputs = np.where(rng.random((7, 4)) < rate, rng.normal(0, 3, (7, 4)), 0)
    target = SpikingTarget.named("loihi")
    kept = target.run(SpikingModel(nir.NIRGraph({}, []), program, program), inputs, "fixed")
    assert kept.sent is not None
    assert np.array_equal(kept.sent, np.rint(inputs * program.input_scale))
    assert count(program, kept, inputs) == count(program, replace(kept, sent=None), inputs)


def test_a_net_without_weights_has_no_connection_sparsity() -> None:
    program = Program("float", 2, 1, (Population("a", 3, 1.0, 0.0, 1.0, np.ones(3)),), ())
    found = count(program, Recording({"a": np.zeros((2, 3), bool)}, 0.0), np.zeros((2, 1))).json()
    assert found["connection_sparsity"] is None
    assert found["activation_sparsity"] == 1
    assert found["footprint"] == 4 * (3 + 3)
