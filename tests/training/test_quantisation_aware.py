"""Quantisation-aware chains: torch, our emulator and Lava hold the same integers at every step, and gradients flow."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroprompt import loihi_aware
from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import BadSetting, NeuropromptError, OutOfRange, Unsupported
from neuroprompt.spiking.neurons import IF, LIF, Current, leaky
from neuroprompt.training.quantisation_aware import IntegerLinear, IntegerNeurons, LoihiChain

STEPS = 20


def a_chain(seed: int) -> nn.Sequential:
    """One to three layers of any size and kind, some with biases, some with weights of one sign."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, rng.integers(2, 5)).tolist()
    modules: list[nn.Module] = []
    for n_in, n in pairwise(sizes):
        linear = nn.Linear(n_in, n, bias=bool(rng.random() < 0.5))
        weight = rng.normal(0.3, 1, (n, n_in)) if rng.random() < 0.7 else rng.random((n, n_in)) * rng.choice((-1, 1))
        nn.init.uniform_(linear.bias, -0.3, 0.5) if linear.bias is not None else None
        linear.weight = nn.Parameter(torch.from_numpy(weight).float())
        threshold = float(rng.uniform(0.2, 2))
        decays = torch.from_numpy(rng.uniform(0, 0.99, n))
        neurons: tuple[nn.Module, ...] = (
            IF(threshold),
            LIF(float(rng.uniform(1, 9)), threshold),
            leaky(float(rng.uniform(0, 1)), threshold),
            leaky(decays, threshold),
        )
        modules += [linear, neurons[rng.integers(len(neurons))]]
    return nn.Sequential(*modules)


def trained(seed: int) -> LoihiChain:
    """Such a chain in integers, after weights moved, some beyond what the chip holds, some to 0."""
    aware, rng = loihi_aware(a_chain(seed)), np.random.default_rng(seed)
    with torch.no_grad():
        for p in aware.parameters():
            p.mul_(float(rng.uniform(0.3, 3)) if rng.random() < 0.95 else 0.0)
    return aware


def spikes_for(chain: nn.Sequential, seed: int) -> NDArray[np.float64]:
    lines = next(m.in_features for m in chain if isinstance(m, nn.Linear))
    return (np.random.default_rng(seed).random((STEPS, lines)) < 0.5).astype(float)


def step_through(chain: nn.Sequential, inputs: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Spikes and potentials (T, ..., n) of every layer of neurons, as a user's own loop steps them."""
    v: dict[str, Tensor] = {}
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for x in torch.as_tensor(inputs, dtype=torch.float32):
        signal = x
        for name, module in chain.named_children():
            if isinstance(module, nn.Linear):
                signal = module(signal)
            else:
                signal, v[name] = module(signal, v.get(name, torch.zeros_like(signal)))
                found.setdefault(name, []).append((signal, v[name]))
    return {
        name: (torch.stack([s for s, _ in rows]), torch.stack([p for _, p in rows])) for name, rows in found.items()
    }


def assert_equal(aware: LoihiChain, inputs: Any, recording: Recording) -> int:
    """Spikes and potentials of torch and a target, as integers; how many spikes."""
    with torch.no_grad():
        ours = step_through(aware, inputs)
    assert list(ours) == list(recording.spikes)
    for name, (spikes, v) in ours.items():
        assert recording.v[name].dtype.kind == "i"
        assert np.array_equal(spikes.numpy(), recording.spikes[name]), f"spikes of {name}"
        assert np.array_equal(v.numpy(), recording.v[name]), f"v of {name}"
    return sum(int(s.sum()) for s, _ in ours.values())


def loihi() -> SpikingTarget:
    return SpikingTarget.named("loihi")


def test_torch_is_the_emulator_bit_by_bit() -> None:
    fired: list[int] = []

    @given(st.integers(0, 2**32 - 1))
    @settings(max_examples=150)
    def check(seed: int) -> None:
        aware = trained(seed)
        inputs = spikes_for(aware, seed)
        fired.append(assert_equal(aware, inputs, loihi().run(aware.model(STEPS), inputs, "fixed", states=True)))

    check()
    assert sum(spikes > 0 for spikes in fired) > 100


def test_and_it_is_lava_bit_by_bit(lava: SpikingTarget) -> None:
    fired = 0
    for seed in range(3):
        aware = trained(seed)
        inputs = spikes_for(aware, seed)
        fired += assert_equal(aware, inputs, lava.run(aware.model(STEPS), inputs, "fixed", states=True))
    assert fired > 50


def test_wide_sums_wrap_and_clip_as_on_the_chip() -> None:
    """700 weights of 255 are beyond the 24 bits of u, which wraps; below that v is what is full, and stays there."""
    wide = nn.Sequential(nn.Linear(700, 2, bias=False), IF(500.0))
    nn.init.ones_(wide[0].weight)  # type: ignore[arg-type]
    aware = loihi_aware(wide)
    for lines in (700, 300):
        inputs = np.zeros((STEPS, 700))
        inputs[:, :lines] = 1
        recording = loihi().run(aware.model(STEPS), inputs, "fixed", states=True)
        assert_equal(aware, inputs, recording)
        assert recording.v["if1"].min() < 0 if lines == 700 else recording.v["if1"].max() > 0


def test_the_integers_are_the_documented_ones() -> None:
    chain = nn.Sequential(nn.Linear(2, 1), LIF(2.0, 0.5))
    with torch.no_grad():
        chain[0].weight.copy_(torch.tensor([[1.0, -0.5]]))  # type: ignore[operator]
        chain[0].bias.fill_(0.1)  # type: ignore[operator]
    program = loihi_aware(chain).model(4).fixed_program
    (population,), (projection,) = program.populations, program.projections
    # The gain 1/tau halves weights and bias; the scale is 254 / 0.5.
    assert projection.weights.raw.tolist() == [[254, -128]]
    assert (population.bias.tolist(), population.vth, population.dv, population.du) == ([25], 254, 2048, 4095)
    at_100 = loihi_aware(chain, scales=[100.0]).model(4).fixed_program
    assert at_100.projections[0].weights.raw.tolist() == [[50, -24]]  # -25 is between two; rint takes -12 * 2
    assert at_100.populations[0].vth == 50


def test_its_graph_holds_the_integers_and_float_simulators_run_it() -> None:
    aware = loihi_aware(nn.Sequential(nn.Linear(6, 5), IF(1.0), nn.Linear(5, 4), IF(0.7)))
    graph, inputs = aware.graph(STEPS), spikes_for(aware, 1)
    compiled = model_of_graph(graph, scale=1.0)
    for ours, theirs in zip(
        aware.model(STEPS).fixed_program.projections, compiled.fixed_program.projections, strict=True
    ):
        assert np.array_equal(ours.weights.raw, theirs.weights.raw)
    # Without a leak nothing is truncated, and the float twin is the chip.
    target = SpikingTarget.named("snntorch")
    floats, fixed = target.run(compiled, inputs, "float"), loihi().run(compiled, inputs, "fixed")
    assert all(np.array_equal(floats.spikes[name], fixed.spikes[name]) for name in fixed.spikes)


def test_gradients_are_those_of_the_float_chain_nearly() -> None:
    chain = nn.Sequential(nn.Linear(8, 6), leaky(0.9, 1.0), nn.Linear(6, 3), leaky(0.9, 1.0))
    aware = loihi_aware(chain)
    inputs = spikes_for(chain, 0)
    for each in (chain, aware):
        list(step_through(each, inputs).values())[-1][0].sum().backward()
    for theirs, ours in zip(chain.parameters(), aware.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.cosine_similarity(ours.grad.flatten(), theirs.grad.flatten(), dim=0) > 0.95
        assert 0.8 < float(ours.grad.norm() / theirs.grad.norm()) < 1.25


def test_a_batch_is_its_lanes_and_copies_and_state_dicts_are_the_same_chain() -> None:
    aware = trained(5)
    lanes = np.stack([spikes_for(aware, seed) for seed in range(3)], axis=1)
    again = loihi_aware(a_chain(5))
    again.load_state_dict(copy.deepcopy(aware).state_dict())
    with torch.no_grad():
        together = step_through(aware, lanes)
        for lane in range(3):
            for name, rows in step_through(again, lanes[:, lane]).items():
                assert all(torch.equal(a[:, lane], b) for a, b in zip(together[name], rows, strict=True))


@pytest.mark.parametrize(
    ("chain", "scales", "error", "said"),
    [
        (nn.Sequential(nn.Linear(2, 2)), None, Unsupported, "output .*never fires; expected nn.Linear and spiking"),
        (nn.Sequential(Current(torch.ones(2)), IF()), None, Unsupported, "if1 does not follow an nn.Linear"),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), None, Unsupported, "relu1 is a ReLU"),
        (nn.Sequential(nn.Linear(2, 2), leaky(0.5, torch.tensor([1.0, 2.0]))), None, Unsupported, "thresholds from 1"),
        (nn.Sequential(nn.Linear(2, 2), LIF(1e5)), None, Unsupported, "lif1.*too slow for 12 bits"),
        (nn.Sequential(nn.Linear(2, 2), IF()), [1.0, 2.0], BadSetting, "2 scales; expected 1"),
        (nn.Sequential(nn.Linear(2, 2), IF()), [1e6], OutOfRange, r"a scale of 1e\+06 for if1; expected above 0"),
        (nn.Sequential(nn.Linear(2, 2), IF()), [0.0], OutOfRange, "a scale of 0 for if1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    chain: nn.Sequential, scales: list[float] | None, error: type[NeuropromptError], said: str
) -> None:
    with pytest.raises(error, match=said) as refusal:
        loihi_aware(chain, scales)
    assert "\n" not in str(refusal.value)


def test_inputs_that_are_no_spikes_and_weights_that_are_no_numbers_are_refused() -> None:
    aware = loihi_aware(nn.Sequential(nn.Linear(2, 2), IF()))
    linear, neurons = aware
    assert isinstance(linear, IntegerLinear)
    assert isinstance(neurons, IntegerNeurons)
    with pytest.raises(Unsupported, match="inputs other than 0 and 1"):
        linear(torch.tensor([0.5, 1.0]))
    nn.init.constant_(linear.weight, float("nan"))
    with pytest.raises(BadSetting, match="not finite"):
        aware.model(3)
