"""Quantisation-aware chains that take numbers: torch, our emulator and Lava hold the same integers; float nearly so."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt import loihi_aware
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import OutOfRange, Unsupported
from neuroprompt.spiking.neurons import IF, LIF, leaky
from neuroprompt.training.quantisation_aware import IntegerLinear, LoihiChain

STEPS = 25


def run(chain: nn.Sequential, inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Spikes and potentials (T, ..., n) of every layer of neurons, for numbers (T, ..., n_in)."""
    v: dict[nn.Module, Tensor] = {}
    rows: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}
    for x in inputs:
        signal = x
        for module in chain:
            if isinstance(module, nn.Linear):
                signal = module(signal)
            else:
                signal, v[module] = module(signal, v.get(module, torch.zeros_like(signal)))
                rows.setdefault(module, []).append((signal, v[module]))
    return [(torch.stack([s for s, _ in each]), torch.stack([p for _, p in each])) for each in rows.values()]


def a_chain(seed: int) -> tuple[nn.Sequential, Tensor]:
    """One or two layers of any kind, and numbers for them: pixels, or of both signs, or steps of a grid."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 12, rng.integers(2, 4)).tolist()
    modules: list[nn.Module] = []
    for n_in, n in pairwise(sizes):
        linear = nn.Linear(n_in, n, bias=bool(rng.random() < 0.5))
        weight = rng.normal(0.2, 1, (n, n_in)) if rng.random() < 0.7 else rng.random((n, n_in)) * rng.choice((-1, 1))
        linear.weight = nn.Parameter(torch.from_numpy(weight).float())
        kinds: tuple[nn.Module, ...] = (
            IF(0.9),
            LIF(float(rng.uniform(1, 9)), 0.4),
            leaky(float(rng.uniform(0, 1)), 1.0),
        )
        modules += [linear, kinds[rng.integers(3)]]
    x = (rng.random((STEPS, sizes[0])), rng.normal(0, 2, (STEPS, sizes[0])), rng.integers(0, 9, (STEPS, sizes[0])) / 8)
    return nn.Sequential(*modules), torch.from_numpy(x[rng.integers(3)]).float()


def trained(seed: int) -> tuple[LoihiChain, Tensor]:
    """Such a chain in integers, after its weights moved, some beyond what the chip holds."""
    chain, inputs = a_chain(seed)
    aware, rng = loihi_aware(chain, inputs=inputs), np.random.default_rng(seed)
    with torch.no_grad():
        for p in aware.parameters():
            p.mul_(float(rng.uniform(0.2, 1.4)))
    return aware, inputs


def assert_equal(aware: LoihiChain, inputs: Tensor, target: SpikingTarget) -> int:
    recording = target.run(aware.model(STEPS), inputs.double().numpy(), "fixed", states=True)
    with torch.no_grad():
        ours = run(aware, inputs)
    for (spikes, v), name in zip(ours, recording.spikes, strict=True):
        assert np.array_equal(spikes.numpy(), recording.spikes[name]), f"spikes of {name}"
        assert np.array_equal(v.numpy(), recording.v[name]), f"v of {name}"
    return sum(int(s.sum()) for s, _ in ours)


def test_torch_is_the_emulator_bit_by_bit() -> None:
    spikes: list[int] = []
    refused: list[int] = []

    @given(st.integers(0, 2**32 - 1))
    @settings(max_examples=100, deadline=None)
    def check(seed: int) -> None:
        try:
            spikes.append(assert_equal(*trained(seed), SpikingTarget.named("loihi")))
        except OutOfRange:  # weights grew until their sums left the range, which nobody runs in silence
            refused.append(seed)

    check()
    assert sum(count > 0 for count in spikes) > 60
    assert len(refused) < 5


def test_and_it_is_lava_bit_by_bit(lava: SpikingTarget) -> None:
    assert sum(assert_equal(*trained(seed), lava) for seed in range(3)) > 20


def test_gradients_reach_weights_and_inputs() -> None:
    chain = nn.Sequential(nn.Linear(8, 6), leaky(0.9, 1.0), nn.Linear(6, 3), leaky(0.9, 1.0))
    inputs = torch.rand(STEPS, 8)
    aware = loihi_aware(chain, inputs=inputs)
    ours, theirs = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()
    run(aware, ours)[-1][0].sum().backward()
    run(chain, theirs)[-1][0].sum().backward()
    pairs = [(ours, theirs), *zip(aware.parameters(), chain.parameters(), strict=True)]
    for mine, other in pairs:
        assert mine.grad is not None
        assert other.grad is not None
        assert torch.cosine_similarity(mine.grad.flatten(), other.grad.flatten(), dim=0) > 0.95


def test_a_copy_by_state_dict_is_the_same_chain() -> None:
    aware, inputs = trained(7)
    again = loihi_aware(a_chain(7)[0], inputs=3 * inputs)
    again.load_state_dict(aware.state_dict())
    for ours, theirs in zip(run(aware, inputs), run(again, inputs), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_numbers_need_examples() -> None:
    aware = loihi_aware(nn.Sequential(nn.Linear(2, 2), IF()))
    (linear, _) = aware
    assert isinstance(linear, IntegerLinear)
    assert aware.input_scale is None
    with pytest.raises(Unsupported, match="expected spikes; give loihi_aware such inputs"):
        linear(torch.tensor([0.5, 1.0]))


@pytest.mark.slow
def test_trained_in_the_integers_the_chip_fires_as_the_reference() -> None:
    """Digits as numbers on 64 lines, the same in 25 steps: Jaccard 0.99 with the reference, on held-out images."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    grey = np.clip(images[order] / 16 + rng.normal(0, 0.05, images.shape), 0, 1)  # of no grid
    x, y = torch.from_numpy(grey.astype(np.float32)), torch.from_numpy(labels[order])

    def counts(chain: nn.Sequential, part: slice | Tensor) -> Tensor:
        return run(chain, x[part].expand(STEPS, -1, -1))[-1][0].sum(0)

    def train(chain: nn.Sequential, epochs: int, lr: float) -> float:
        optimiser = torch.optim.Adam(chain.parameters(), lr)
        for _ in range(epochs):
            for batch in torch.randperm(1297).split(64):
                optimiser.zero_grad()
                F.cross_entropy(counts(chain, batch), y[batch]).backward()
                optimiser.step()
        with torch.no_grad():
            return float((counts(chain, slice(1297, None)).argmax(1) == y[1297:]).double().mean())

    chain = nn.Sequential(
        nn.Linear(64, 40, bias=False), leaky(0.9, 1.0), nn.Linear(40, 10, bias=False), leaky(0.9, 1.0)
    )
    as_floats = train(chain, epochs=5, lr=5e-3)
    aware = loihi_aware(chain, inputs=x[:60].expand(STEPS, -1, -1))
    assert train(aware, epochs=2, lr=1e-3) > as_floats - 0.02
    model, both, either = aware.model(STEPS), 0, 0
    for image in x[1297:1397].double().numpy():
        inputs = np.tile(image, (STEPS, 1))
        right, chip = (all_spikes(t, model, inputs, p) for t, p in (("reference", "float"), ("loihi", "fixed")))
        both, either = both + int((right & chip).sum()), either + int((right | chip).sum())
    assert either > 10_000
    assert both / either >= 0.99


def all_spikes(name: str, model: object, inputs: NDArray[np.float64], precision: str) -> NDArray[np.bool_]:
    recording = SpikingTarget.named(name).run(model, inputs, precision)  # type: ignore[arg-type]
    return np.concatenate(list(recording.spikes.values()), axis=1)
