"""Xylo: our emulator is xylosim, bit by bit; what fits the chip runs, and what does not is one line with its node."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xylo_nets import STEPS, chain, halving, integers, layered

from neuroprompt.compiler.compile import floats_of_graph, model_of_items
from neuroprompt.compiler.lower import lower, stimulus
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.energy.count_bundle import counts_of_model
from neuroprompt.errors import Unsupported
from neuroprompt.simulators.per_item import PerItem
from neuroprompt.simulators.verify import verify
from neuroprompt.simulators.verify_parts import joined, json_of, of_json
from neuroprompt.spiking.program import Population, Program, SpikingModel
from neuroprompt.spiking.time_step import DT_SECONDS
from neuroprompt.xylo.arithmetic import Trace, readouts, simulate
from neuroprompt.xylo.mapping import dashes

GRAPHS = int(os.environ.get("NEUROPROMPT_XYLO_NETS", "20"))
"""How many random nets the slow test shows to xylosim: a third of a second each."""


def assert_equal(ours: Mapping[str, Trace], theirs: Mapping[str, Trace]) -> None:
    for name, trace in ours.items():
        for kind, rows in vars(trace).items():
            np.testing.assert_array_equal(rows, getattr(theirs[name], kind), err_msg=f"{kind} of {name}")


def compared(simulator: Any, seeds: range) -> dict[str, int]:
    """Random nets on ours and on xylosim, two items each; what they had in them."""
    seen = {"spikes": 0, "several": 0, "saturated": 0, "readouts": 0}
    for seed in seeds:
        program = integers(seed)
        rng = np.random.default_rng(seed)
        sent = rng.random((2, STEPS, program.inputs)) < rng.choice((0.1, 0.5, 1.0))
        ours = simulate(program, sent)
        assert_equal(ours, simulator.traces(program, sent))
        for trace in ours.values():
            seen["spikes"] += int(trace.counts.sum())
            seen["several"] += int((trace.counts > 1).sum())
            seen["saturated"] += int((np.abs(trace.v) >= 2**15 - 1).sum())
        seen["readouts"] += len(readouts(program))
    return seen


def test_ours_is_xylosim(overlaid: Callable[[str], SpikingTarget]) -> None:
    seen = compared(overlaid("xylosim"), range(3))
    assert all(seen.values()), seen


@pytest.mark.slow
@pytest.mark.timeout(600 + 5 * GRAPHS)
def test_ours_is_xylosim_on_many_nets(overlaid: Callable[[str], SpikingTarget]) -> None:
    """NEUROPROMPT_XYLO_NETS says how many."""
    seen = compared(overlaid("xylosim"), range(1000, 1000 + GRAPHS))
    assert all(count > GRAPHS / 2 for count in seen.values()), seen


def test_items_of_a_batch_are_those_alone() -> None:
    program = integers(3)
    sent = np.random.default_rng(0).random((3, STEPS, program.inputs)) < 0.5
    together = simulate(program, sent)
    for i, item in enumerate(sent):
        alone = simulate(program, item)
        assert_equal(alone, {name: Trace(*(rows[i] for rows in vars(t).values())) for name, t in together.items()})


def test_a_program_keeps_its_integers_as_a_file() -> None:
    program = integers(1)
    again = Program.from_bytes(program.to_bytes())
    assert again.chip == "xylo"
    assert again.to_bytes() == program.to_bytes()


# --- what fits -------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_constant_current_is_exact_whatever_its_leak(seed: int) -> None:
    """IF and LIF that reset to 0, as a Spike-NVPT generator has them: the spikes are those of the definition."""
    rng = np.random.default_rng(seed)
    n, steps = 60, int(rng.integers(1, 65))
    leak = float(rng.choice((0.0, rng.uniform(0, 0.9))))
    p = Population("p", n, 1.0, leak, float(rng.uniform(0.2, 2)), np.zeros(n), currents=((0, rng.normal(0.5, 1, n)),))
    program = Program("float", steps, 0, (p,), ())
    model = SpikingModel(nir.NIRGraph({}, [], type_check=False), program, program)
    spikes = SpikingTarget.named("xylo").run(model, np.zeros((steps, 0))).spikes["p"]
    assert np.array_equal(spikes, SpikingTarget.named("loihi").run(model, np.zeros((steps, 0)), "float").spikes["p"])


def test_weights_that_are_whole_numbers_are_exact() -> None:
    """By hand: the current is 8 and then halves, v keeps three quarters; no bit is lost above 0 in these steps."""
    graph = chain(nir.Linear(np.array([[16.0, 0, 0, 0]])), halving(1, vth=10.0))
    x = np.zeros((4, 4))
    x[0, 0] = 1
    model = floats_of_graph(graph, x)
    recording = SpikingTarget.named("xylo").run(model, x, states=True)
    # In float i is 16, 8, 4, 2 and v 16: a spike, 6; 4.5 + 8 = 12.5: a spike, 2.5; then 5.875 and 6.40625.
    assert recording.spikes["n1"].reshape(-1).tolist() == [True, True, False, False]
    (scale,) = set(SpikingTarget.named("xylo").scale_report(model)["populations"]["n1"]["scale"])
    v = recording.v["n1"].reshape(-1) / scale
    # Each shift drops less than one unit, and the threshold is rounded to one: four steps of both, in i and in v.
    assert (np.abs(v - [6, 2.5, 5.875, 6.40625]) <= 4 * 4 / scale).all()


def test_what_is_fitted_fires_as_trained_on_other_inputs_too() -> None:
    """Fitted on four runs and tried on others; .92 and .93 of the first layers' spikes are right, and .8 is a floor."""
    for seed in (0, 1):
        runs = np.random.default_rng(seed).random((8, STEPS, 8)) < 0.2
        model = model_of_items(layered(seed), runs[:4].astype(float))
        theirs = SpikingTarget.named("loihi").run(model, runs[4:], "float").spikes["n1"]
        ours = SpikingTarget.named("xylo").run(model, runs[4:]).spikes["n1"]
        assert theirs.sum() > 400
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.8


def test_verify_compares_integers_of_one_chip_alone(overlaid: Callable[[str], SpikingTarget]) -> None:
    overlaid("xylosim")
    x = (np.random.default_rng(0).random((STEPS, 8)) < 0.2).astype(float)
    result = verify(floats_of_graph(layered(0), x), x, ["loihi", "xylo", "xylosim"])
    assert result.agrees
    own, theirs = result.targets["xylo"], result.targets["xylosim"]
    assert (own.integers, own.exact_with_emulator) == ("xylo", None)
    assert (theirs.integers, theirs.exact_with_emulator, theirs.states_exact_with_emulator) == ("xylo", 1.0, True)
    assert own.scale_report == theirs.scale_report
    assert set(own.json()["scale_report"]["populations"]) == {"n1", "n3"}
    assert "subtracts its threshold" in result.skipped["loihi-fixed"]
    assert not replace(result, targets={"xylosim": replace(theirs, exact_with_emulator=0.5)}).agrees


def test_what_is_counted_are_its_own_synapses() -> None:
    x = (np.random.default_rng(0).random((STEPS, 8)) < 0.2).astype(float)
    model, target = floats_of_graph(layered(0), x), SpikingTarget.named("xylo")
    counts = counts_of_model(model, x, "xylo", "fixed")
    spikes = target.run(model, x).spikes
    emitted = {"input": x.astype(bool), **spikes}
    operations = sum(
        int(emitted[q.source][: STEPS - q.lag].sum(axis=0) @ np.count_nonzero(q.weights.dense(), axis=0))
        for q in target.program(model, "fixed").projections
    )
    assert counts.generator.synops == operations
    assert counts.generator.spikes == sum(int(s.sum()) for s in spikes.values())
    assert counts.chip == ""  # no Loihi


def test_several_spikes_in_a_step_are_one_and_counted() -> None:
    """It was fitted on inputs that never reach two thresholds, and gets larger ones."""
    graph = chain(nir.Linear(np.full((1, 4), 1.3)), halving(1))
    quiet = np.eye(4)[np.arange(40) % 4] * (np.arange(40) % 4 == 0)[:, None]
    model, target, loud = floats_of_graph(graph, quiet), SpikingTarget.named("xylo"), np.ones((40, 4))
    counts = simulate(target.program(model, "fixed"), loud)["n1"].counts
    several = int((counts > 1).sum())
    assert several > 0
    recording = target.run(model, loud)
    assert recording.several["n1"] == several
    assert np.array_equal(recording.spikes["n1"], counts > 0)
    batch = target.run(model, np.stack([quiet, loud]))
    assert batch.several["n1"].tolist() == [0, several]
    assert PerItem.of(target.program(model, "fixed"), batch, np.stack([quiet, loud])).several.tolist() == [0, several]
    assert Recording.stacked([batch.item(0), batch.item(1)]).end_to_end().several["n1"] == several
    for runs in (loud, np.stack([loud, quiet])):
        result = verify(model, runs, ["xylo"])
        assert result.targets["xylo"].json()["several"] == {"n1": several}
    assert joined([result, result]).targets["xylo"].several == {"n1": 2 * several}
    assert joined([of_json(json_of(result)), result]).targets["xylo"].several == {"n1": 2 * several}
    assert "several" not in verify(model, quiet, ["xylo"]).targets["xylo"].json()


# --- what does not ---------------------------------------------------------------------------------------------------

W = nir.Linear(np.full((3, 4), 0.5))
ONES = np.ones(3)
IF = nir.IF(r=ONES, v_threshold=ONES, v_reset=0 * ONES)
LIF = nir.LIF(tau=ONES * 4 * DT_SECONDS, r=ONES, v_leak=0 * ONES, v_threshold=ONES, v_reset=0 * ONES)
CUBA_LI = nir.CubaLI(tau_syn=LIF.tau, tau_mem=LIF.tau, r=ONES, v_leak=0 * ONES, w_in=ONES)
WIDE = nir.Linear(np.full((80, 3), 0.1))


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (chain(W, halving(3), reset="zero"), "node 'n1' resets to a value; expected a reset that subtracts"),
        (chain(W, halving(3), reset="subtract, late"), "node 'n1' subtracts its threshold in the step after a spike"),
        (chain(W, IF), "node 'n1' has no synaptic current with memory"),
        (chain(W, LIF), r"node 'n1' has no synaptic current .* CubaLIF with tau_syn of 2, 4, 8, \.\.\. steps"),
        (chain(W, halving(3, tau_syn=3)), "node 'n1' has a tau_syn of 3 steps; .* 4 steps is the nearest"),
        (chain(W, halving(3, tau_mem=10)), "node 'n1' has a tau_mem of 10 steps; .* 8 steps is the nearest"),
        (chain(W, halving(3, vth=0.0)), "node 'n1' has a threshold of 0 or less"),
        (chain(W, halving(3), W.__class__(np.ones((2, 3))), halving(2, v_leak=np.ones(2))), "node 'n3' has a bias"),
        (chain(nir.Linear(np.ones((3, 17))), halving(3), lines=17), "node 'n1' hears 17 input lines; .* at most 16"),
        (chain(nir.Linear(np.ones((1001, 4))), halving(1001)), "node 'n1' is the one with neuron 1,001"),
        (chain(W, halving(3), WIDE, halving(80)), "node 'n1' reaches 80 hidden neurons from one of its own; .* 64"),
        (chain(W, CUBA_LI, nir.Linear(np.ones((3, 3))), halving(3)), "node 'n3' hears the potential of 'n1'"),
        (chain(W, nir.Delay(ONES * DT_SECONDS), halving(3)), "from 'input' to 'n2' would have to wait 1 step"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_with_the_node(graph: nir.NIRGraph, words: str) -> None:
    target, program = SpikingTarget.named("xylo"), lower(graph, 6)
    with pytest.raises(Unsupported, match=words) as said:
        target.refuse(program)
    assert "\n" not in str(said.value)
    inputs = stimulus(program)
    with pytest.raises(Unsupported, match=words):
        target.run(floats_of_graph(graph, inputs), inputs)


@pytest.mark.parametrize("name", ["xylo", "xylosim"])
def test_floats_and_numbers_are_one_line(name: str) -> None:
    numbers = np.full((6, 4), 0.3)
    model = floats_of_graph(chain(W, halving(3)), numbers)
    with pytest.raises(Unsupported, match="precision 'float'"):
        SpikingTarget.named(name).run(model, numbers, "float")
    for fitted_on in (numbers[None], None):
        with pytest.raises(Unsupported, match=r"numbers on the input lines; .* send 0 or 1 in each step"):
            SpikingTarget.named(name).run(replace(model, fitted_on=fitted_on), numbers)


def test_shifts_are_those_of_eulers_decays_and_of_exact_ones() -> None:
    """1/2^k and 1 - exp(-1/2^k), also in float32; other decays are none."""
    k = np.arange(16)
    assert dashes(1 / 2.0**k).tolist() == k.tolist()
    assert dashes(np.float32(1 / 2.0**k)).tolist() == k.tolist()
    assert dashes(1 - np.exp(-1 / 2.0 ** k[:8])).tolist() == k[:8].tolist()
    assert dashes(np.array([0.0, 0.1, 0.3, 2.0**-16])).tolist() == [-1] * 4
