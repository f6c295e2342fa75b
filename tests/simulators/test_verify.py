"""Comparison spike by spike, generated nets on every target in process, and counts worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from program_bounds import absolute, apart
from torch import nn

from neuroprompt.compiler.lower import lower, stimulus
from neuroprompt.contracts.deployment import SpikingTarget, Target
from neuroprompt.contracts.learning import Generator
from neuroprompt.energy.count_spikes import activity
from neuroprompt.errors import WorkerFailed
from neuroprompt.simulators.compare import Mismatch, ValueAgreement
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.chain import to_nir
from neuroprompt.spiking.neurons import IF, LIF, Current
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.training.deploy import check_graph, spiking_model

IN_PROCESS = ["reference", "snntorch", "loihi"]


def dyadic(n_out: int, n_in: int) -> st.SearchStrategy[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    return st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).integers(-16, 33, (n_out, n_in)))


@st.composite
def nets(draw: st.DrawFn) -> Generator:
    """Layers of IF and LIF. Weights, biases and thresholds are multiples of 1/16 and tau is 1, 2 or 4 steps, so that in
    12 steps a potential needs at most 4 + 2 (1 + 12) bits behind the point: float64 holds every sum exactly, in any
    order, and no tie with a threshold can depend on rounding.
    """
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    modules: list[nn.Module] = []
    for index, size in enumerate(sizes[1:]):
        linear = nn.Linear(sizes[index], size, bias=draw(st.booleans()))
        linear.weight.data = torch.tensor(draw(dyadic(size, sizes[index])) / 16).float()
        if linear.bias is not None:
            linear.bias.data = torch.tensor(draw(dyadic(1, size))[0] / 16).float()
        threshold = draw(st.integers(0, 24)) / 16
        tau = draw(st.sampled_from([0, 1, 2, 4]))
        modules += [linear, LIF(tau, threshold) if tau else IF(threshold)]
    if draw(st.booleans()):  # a constant drive in front
        drive = torch.tensor(draw(dyadic(1, sizes[0]))[0] / 16).float()
        modules = [Current(drive), IF(draw(st.integers(0, 24)) / 16), *modules]
    return Generator(nn.Sequential(*modules), draw(st.integers(2, 12)))


@given(nets())
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.data_too_large]
)
def test_generated_nets_fire_alike_on_every_float_target(generator: Generator) -> None:
    graph = to_nir(generator)
    program = lower(graph, generator.steps)
    inputs = stimulus(program)
    reference = SpikingTarget.named("reference")
    fired = reference.run(SpikingModel(graph, program, program), inputs, "float").spikes
    assume(all(s.any() for s in fired.values()))  # a silent net agrees with anything: it does not count
    model = spiking_model(generator)
    found = verify(model, inputs, IN_PROCESS)
    for name in ("snntorch", "loihi-float"):
        assert found.targets[name].spike_exact == 1.0, name
        assert found.targets[name].first_mismatch is None
        assert found.targets[name].spikes == found.reference.spikes > 0
    check_graph(model.graph, generator)


def test_currents_of_a_trained_kind_fire_alike() -> None:
    layers = nn.Sequential(nn.Linear(20, 40), LIF(3.0), nn.Linear(40, 30), IF(0.7), nn.Linear(30, 10), LIF(1.7, 0.3))
    for module in layers:
        if isinstance(module, nn.Linear):
            module.weight.data *= 4
    generator = Generator(layers, 30)
    model = spiking_model(generator)
    found = verify(model, targets=IN_PROCESS)
    assert found.targets["snntorch"].spike_exact == found.targets["loihi-float"].spike_exact == 1.0
    assert found.targets["loihi-fixed"].spike_exact > 0.98
    assert check_graph(model.graph, generator)["spikes"] == found.reference.spikes > 100


def test_potentials_agree_too() -> None:
    generator = Generator(nn.Sequential(nn.Linear(20, 40), LIF(3.0)), 20)
    model = spiking_model(generator)
    inputs = stimulus(model.float_program)
    runs = []
    for name in IN_PROCESS:
        target = SpikingTarget.named(name)
        runs.append(target.run(model, inputs, "float", states=True))
    bounds = apart(lower(absolute(model.graph), 20), inputs, runs[0].spikes)
    for run in runs[1:]:
        assert run.v["lif1"].shape == (20, 40)
        assert (np.abs(run.v["lif1"] - runs[0].v["lif1"]) <= bounds["lif1"]).all()


def test_vit_b_prompt_is_exact_everywhere() -> None:
    model = spiking_model(Generator(nn.Sequential(Current(torch.rand(12 * 10 * 768) * 1.4 - 0.2), IF()), 4))
    found = verify(model, targets=IN_PROCESS)
    assert found.reference.neurons == 92160
    assert {name: t.spike_exact for name, t in found.targets.items()} == {
        "snntorch": 1.0,
        "loihi-float": 1.0,
        "loihi-fixed": 1.0,
    }


def a_net() -> SpikingModel:
    linear = nn.Linear(3, 2, bias=False)
    linear.weight.data = torch.tensor([[2.0, 0.0, 2.0], [0.0, 0.0, -2.0]])
    second = nn.Linear(2, 1, bias=False)
    second.weight.data = torch.tensor([[2.0, 4.0]])
    return spiking_model(Generator(nn.Sequential(linear, IF(1.0), second, IF(1.0)), 2), inputs=np.ones((2, 3)))


def test_activity_by_hand() -> None:
    model = a_net()
    inputs = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    target = SpikingTarget.named("reference")
    counts = activity(model, target.run(model, inputs, "float"), inputs, "float")
    # Neuron 0 of the first layer fires twice, the only one of the second as well; fan-out of the inputs is 1, 0, 2 and
    # of the first layer 1, 1: 1 + 0 + 2 of the inputs, 2 x 1 of the first layer.
    assert counts.spikes == counts.updates_active == 4
    assert counts.synops == 5
    assert counts.updates == 2 * 3
    assert counts.macs == 0


def test_verify_says_what_it_left_out_and_why() -> None:
    found = verify(a_net(), targets=IN_PROCESS)
    assert found.skipped == {}
    assert list(found.targets) == ["snntorch", "loihi-float", "loihi-fixed"]
    found = verify(a_net(), inputs=np.full((2, 3), 0.75), targets=IN_PROCESS)
    assert "0 and 1" in found.skipped["loihi-fixed"]
    assert found.targets["loihi-float"].spike_exact == 1.0


def test_a_target_that_breaks_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise WorkerFailed("the worker was killed by signal 9")

    monkeypatch.setattr(Target.part("loihi"), "run", broken)
    found = verify(a_net(), targets=IN_PROCESS)
    killed = "the worker was killed by signal 9"
    assert found.failed == {"loihi-float": killed, "loihi-fixed": killed}
    assert found.targets["snntorch"].spike_exact == 1.0


def test_a_wrong_program_is_seen() -> None:
    model = a_net()
    population, *others = model.float_program.populations
    wrong = replace(model.float_program, populations=(replace(population, vth=4.0), *others))
    found = verify(replace(model, float_program=wrong), np.ones((2, 3)), ["loihi"]).targets["loihi-float"]
    assert found.spike_exact < 1.0
    assert found.first_mismatch is not None
    assert found.first_mismatch.node == "if1"


AGREEMENT = ["spike_exact", "jaccard", "rate_cosine", "spikes", "spikes_reference", "first_mismatch"]
OF_ALL = [*AGREEMENT, "seconds", "nodes", "values", "cause", "delay"]


def test_the_json_has_the_keys_that_scripts_rely_on() -> None:
    found = verify(a_net(), np.ones((2, 3)), IN_PROCESS)
    plain = json.loads(json.dumps(found.json()))
    assert list(plain) == ["reference", "targets", "skipped", "failed"]
    assert list(plain["reference"]) == ["spikes", "steps", "neurons", "seconds"]
    expected = dict.fromkeys(found.targets, OF_ALL) | {"loihi-fixed": [*OF_ALL, "integers"]}
    assert {name: list(target) for name, target in plain["targets"].items()} == expected
    assert plain["targets"]["loihi-fixed"]["integers"] == "loihi"
    assert list(plain["targets"]["snntorch"]["nodes"]["if1"]) == AGREEMENT
    wrong = replace(found.targets["snntorch"], first_mismatch=Mismatch("if1", 1, 0, 0.5, 0.25), exact_with_emulator=0.5)
    assert wrong.json()["first_mismatch"] == {"node": "if1", "step": 1, "neuron": 0, "reference_v": 0.5, "v": 0.25}
    assert {"exact_with_emulator", "states_exact_with_emulator"} < set(wrong.json())


def test_the_result_carries_the_recordings() -> None:
    found = verify(a_net(), np.ones((2, 3)), IN_PROCESS)
    assert list(found.recordings) == ["reference", *found.targets]
    assert int(found.recordings["snntorch"].spikes["if1"].sum()) == found.targets["snntorch"].nodes["if1"].spikes > 0


def test_integers_may_differ_from_the_reference_but_not_from_the_emulator() -> None:
    found = verify(a_net(), np.ones((2, 3)), IN_PROCESS)
    assert found.agrees
    fixed, floats = found.targets["loihi-fixed"], found.targets["loihi-float"]
    other = replace(fixed, spike_exact=0.5)
    assert replace(found, targets={"loihi-fixed": other}).agrees
    assert replace(found, targets={"lava-fixed": replace(other, exact_with_emulator=1.0)}).agrees
    assert not replace(found, targets={"lava-fixed": replace(fixed, exact_with_emulator=0.5)}).agrees
    assert not replace(found, targets={"loihi-float": replace(floats, spike_exact=0.5)}).agrees
    assert not replace(found, targets={"loihi-float": replace(floats, values={"v": ValueAgreement(1.0, 1e-3)})}).agrees
    assert not replace(found, failed={"lava-float": "the worker was killed by signal 9"}).agrees
