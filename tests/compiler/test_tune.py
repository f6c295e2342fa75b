"""Tuning: integers that learn from the float net, nearer to it on inputs that they never saw, alike on every chip."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_graphs import random_graph, whole_weights

from neuroprompt.compiler.backward import back_through_time, forced_potentials, of_weights
from neuroprompt.compiler.compile import model_of_items, tuned_model
from neuroprompt.compiler.latent import Latent
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.measure import jaccard_by_layer
from neuroprompt.compiler.quantise import quantise
from neuroprompt.compiler.tune import Lessons
from neuroprompt.contracts.deployment import Exporter, SpikingTarget
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import BadSetting, NeuropromptError, Unsupported
from neuroprompt.loihi.arithmetic import DECAY_ONE, cycles, simulate
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.program import Population, SpikingModel
from neuroprompt.spiking.weights import Weights

Array = NDArray[np.float64]
STEPS, LINES = 40, 24
GRAPHS = int(os.environ.get("NEUROPROMPT_GRAPHS", "8"))
"""Generated ones; more of them by that variable."""


def spikes(seed: int, runs: int) -> Array:
    return (np.random.default_rng(seed).random((runs, STEPS, LINES)) < 0.2).astype(float)


def a_graph() -> nir.NIRGraph:
    """A convolution with biases and sum pooling, IF, then LIF; one weight in 20 is 5 times as large."""
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> Array:
        return np.asarray(rng.normal(0.05, 0.2, shape) * np.where(rng.random(shape) < 1 / 20, 5.0, 1.0))

    nodes = {
        "input": nir.Input({"input": np.array([1, 4, 6])}),
        "conv": nir.Conv2d((4, 6), weights(6, 1, 3, 3), 1, 1, 1, 1, rng.normal(0, 0.02, 6)),
        "if": nir.IF(np.ones((6, 4, 6)), np.ones((6, 4, 6))),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([6, 2, 3])}, 0, -1),
        "w": nir.Linear(weights(10, 36)),
        "lif": nir.LIF(np.full(10, 1e-3), np.full(10, 10.0), np.zeros(10), np.ones(10)),
        "output": nir.Output({"output": np.array([10])}),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)))


def agreement(model: SpikingModel, inputs: Array) -> float:
    return float(np.mean(list(jaccard_by_layer(model, inputs).values())))


def test_tuned_integers_are_nearer_to_float_on_inputs_that_nothing_was_fitted_on() -> None:
    items, others, tuning = spikes(0, 8), spikes(99, 20), Tuning(15)
    before, after = model_of_items(a_graph(), items), tuned_model(a_graph(), items, tuning)
    assert after.tuned is not None
    assert after.tuned.kept
    assert (after.tuned.runs, after.tuned.held_out) == (6, 2)
    assert sum(after.tuned.after.values()) > sum(after.tuned.before.values())
    assert after.tuned.after == jaccard_by_layer(after, items[tuning.split(8)[1]])
    assert agreement(after, others) > agreement(before, others)


def test_wide_weights_are_never_further_from_float_on_held_out_runs() -> None:
    items, tuning = spikes(0, 4), Tuning(4)
    runs, held_out = tuning.split(4)
    after = tuned_model(a_graph(), items, tuning, wide=Wide())
    before = model_of_items(a_graph(), items[runs], wide=Wide())
    assert agreement(after, items[held_out]) >= agreement(before, items[held_out])
    assert after.tuned is not None
    assert after.tuned.before == jaccard_by_layer(before, items[held_out])


def test_the_same_seed_gives_the_same_integers() -> None:
    items = spikes(0, 3)
    first, again, other = (tuned_model(a_graph(), items, Tuning(2, seed)) for seed in (0, 0, 1))
    assert first.fixed_program.to_bytes() == again.fixed_program.to_bytes()
    assert other.tuned is not None
    assert other.fixed_program.to_bytes() != first.fixed_program.to_bytes()


def test_what_does_not_help_is_not_kept() -> None:
    """Whole weights have nothing to gain: the program is that of no tuning."""
    graph, items = whole_weights(LINES), spikes(0, 4)
    model = tuned_model(graph, items, Tuning(5))
    assert model.tuned is not None
    assert not model.tuned.kept
    assert model.fixed_program.to_bytes() == model_of_items(graph, items).fixed_program.to_bytes()
    assert "kept as they were" in model.tuned.words()[-1]


def test_what_was_tuned_is_what_the_emulator_runs() -> None:
    """On generated graphs the spikes that tuning saw on held-out runs are the emulator's, spike by spike."""
    tuned = 0

    @settings(max_examples=GRAPHS, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
    def check(seed: int, wide: bool, numbers: bool) -> None:
        nonlocal tuned
        floats = lower(random_graph(seed), STEPS)
        if any(len(part) > 1 for part in cycles(floats)):
            return  # a population is tuned on the float spikes of those that come later in a cycle
        rng, shape = np.random.default_rng(seed), (3, STEPS, floats.inputs)
        items = rng.uniform(0, 1, shape) if numbers else (rng.random(shape) < 0.4).astype(float)
        bits = Wide() if wide else None
        lessons = Lessons(floats, items[2:], Tuning(3), bits)
        whole = replace(floats, steps=2 * STEPS)
        try:
            fixed, _ = quantise(whole, items[:2].reshape(2 * STEPS, -1), wide=bits, runs=2, lessons=lessons)
        except NeuropromptError:
            return
        traces = simulate(replace(fixed, steps=STEPS), items[2:])
        for name, seen in lessons.held.done.items():
            assert np.array_equal(seen, traces[name].spikes[0]), name
            tuned += int(seen.any())

    check()
    assert tuned >= GRAPHS // 4


def test_populations_in_a_cycle_are_tuned_too() -> None:
    """Two that drive each other: what is reported is what the emulator does with both."""
    rng = np.random.default_rng(1)
    nodes = {
        "input": nir.Input({"input": np.array([LINES])}),
        "w": nir.Linear(rng.normal(0.05, 0.2, (12, LINES))),
        "a": nir.IF(np.ones(12), np.ones(12)),
        "ab": nir.Linear(rng.normal(0.05, 0.3, (6, 12))),
        "b": nir.IF(np.ones(6), np.ones(6)),
        "ba": nir.Linear(rng.normal(0, 0.2, (12, 6))),
        "output": nir.Output({"output": np.array([6])}),
    }
    edges = [("input", "w"), ("w", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a"), ("b", "output")]
    items = spikes(0, 4)
    model = tuned_model(nir.NIRGraph(nodes, edges), items, Tuning(5))
    _, held_out = Tuning(5).split(4)
    assert model.tuned is not None
    wanted = model.tuned.after if model.tuned.kept else model.tuned.before
    assert wanted == jaccard_by_layer(model, items[held_out])


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1024, 2048, 3072]),
    st.sampled_from([DECAY_ONE - 1, 2047, 1023]),
    st.booleans(),
)
def test_the_gradient_is_what_one_sum_more_changes(seed: int, dv: int, du: int, hold: bool) -> None:
    """Exactly: sums are so large that no truncation takes a bit, and so small that nothing overflows."""
    rng, steps, n = np.random.default_rng(seed), 6, 2
    neurons = Population("n", n, du, dv, 1, np.zeros(n, np.int32), hold=hold)
    a = rng.integers(-4, 5, (1, steps, n)) * 2.0**12
    resets = rng.random((1, steps, n)) < 0.3
    of_v = rng.integers(-3, 4, (1, steps, n)).astype(float)
    gradient = back_through_time(neurons, of_v, resets).of_sums
    begun = forced_potentials(neurons, a, resets).astype(float)
    t, i = int(rng.integers(steps)), int(rng.integers(n))
    a[0, t, i] += 2.0**12
    changed = forced_potentials(neurons, a, resets) - begun
    assert (of_v * changed).sum() == 2.0**12 * gradient[0, t, i]


def test_a_shared_weight_has_one_update_and_the_gradient_of_all_its_uses() -> None:
    floats = np.array([0.5, 0.2, 0.5, 0.2, 0.5])
    shared = Latent.of(floats, floats * 10, np.rint(floats * 10))
    assert np.array_equal(shared.summed(np.arange(5.0)), [1.0 + 3.0, 0.0 + 2.0 + 4.0])
    shared.update = np.array([1.0, -1.0])
    assert np.array_equal(shared.exact, [4.0, 3.0, 4.0, 3.0, 4.0])
    balanced = Latent.of(floats, floats * 10, np.array([5.0, 2.0, 4.0, 2.0, 6.0]))  # rounded place by place
    balanced.update = np.array([0.5, 1.0])
    assert np.array_equal(balanced.exact, [6.0, 2.5, 5.0, 2.5, 7.0])


@pytest.mark.parametrize("form", ["dense", "sparse", "one to one"])
def test_weights_gather_what_their_sums_get(form: str) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.integers(1, 5, (7, 7)) * (rng.random((7, 7)) < 0.4)
    weights = {
        "dense": Weights(matrix),
        "sparse": Weights(Weights(matrix).rows()),
        "one to one": Weights(np.arange(1, 8)),
    }[form]
    of_sums, sent = (rng.integers(-3, 4, (2, 5, 7)).astype(float) for _ in range(2))
    whole = np.einsum("bti,btj->ij", of_sums, sent)
    rows = weights.rows()
    there = np.repeat(np.arange(7), np.diff(rows.indptr)), rows.indices
    wanted = whole.reshape(-1) if form == "dense" else whole[there]
    assert np.array_equal(of_weights(weights, of_sums, sent).reshape(-1), wanted)


@pytest.mark.parametrize("rounds", [0, -3])
def test_no_rounds(rounds: int) -> None:
    with pytest.raises(BadSetting, match="1 round or more"):
        Tuning.of(rounds)


def test_what_cannot_be_tuned(tmp_path: Path) -> None:
    for inputs in (spikes(0, 1), spikes(0, 1)[0]):
        with pytest.raises(BadSetting, match="2 runs or more"):
            tuned_model(a_graph(), inputs, Tuning(1))
    with pytest.raises(Unsupported, match="--tune in float32"):
        Exporter.named("c-float32").export_graph(a_graph(), tmp_path / "c", spikes(0, 1)[0], tuning=Tuning(1))


def test_a_bundle_says_what_was_tuned(tmp_path: Path) -> None:
    """Seconds stand in what export prints, and not in the files, which are the same each time."""
    exported = Exporter.named("lava").export_graph(a_graph(), tmp_path / "lava", spikes(0, 3), tuning=Tuning(2))
    tuned = exported.json()["tuned"]
    assert tuned["seconds"] > 0
    assert exported.about["tuned"] == {key: value for key, value in tuned.items() if key != "seconds"}
    assert set(tuned["before"]) == set(tuned["after"]) == {"if", "lif"}


@pytest.mark.slow
@pytest.mark.parametrize("wide", [None, Wide()], ids=["8 bits", "auto"])
def test_lava_runs_them_as_the_emulator_does(lava: SpikingTarget, wide: Wide | None) -> None:
    """Spikes, currents and potentials of real Lava 0.10.0, of tuned integers."""
    items = spikes(0, 5)
    model = tuned_model(a_graph(), items, Tuning(5), wide=wide)
    verified = verify(replace(model, scale_report={}), items[0], ["lava"])
    assert verified.reference.spikes > 100
    assert verified.targets["lava-fixed"].exact_with_emulator == 1.0
    assert verified.targets["lava-fixed"].states_exact_with_emulator is True
