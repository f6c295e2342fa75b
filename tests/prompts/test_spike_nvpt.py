"""Spike-NVPT against its closed forms, which the implementation does not use."""

from __future__ import annotations

import copy
import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from float_bounds import U32, gamma, near
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting
from neuroprompt.spiking.neurons import spike_train

SITE = PromptSite(depth=3, width=8, image=(3, 32, 32), patch=16)
POSITIVE = st.floats(2.0**-20, 8.0, width=32)


def spike_nvpt(site: PromptSite = SITE, **settings: Any) -> Any:
    return Prompt.named("spike-nvpt", site=site, **settings)


def with_currents(p: torch.Tensor, **settings: Any) -> Any:
    prompt = spike_nvpt(PromptSite(1, p.numel(), (3, 32, 32), 16), tokens=1, **settings)
    prompt.p.data = p.view(1, 1, -1)
    return prompt.eval()


def spikes_in_closed_form(p: float, threshold: float, steps: int) -> int:
    """Constant drive, hard reset, strict threshold: a spike every floor(Vth / P) + 1 steps (METHODS section 1)."""
    return 0 if p <= 0 else math.floor(steps / (math.floor(Fraction(threshold) / Fraction(p)) + 1))


@settings(deadline=None)
@given(
    st.lists(st.floats(-8, 8, width=32) | POSITIVE, min_size=1, max_size=30),
    st.floats(2.0**-10, 4.0, width=32),
    st.integers(1, 40),
)
def test_counts_are_the_closed_form_exactly(p: list[float], threshold: float, steps: int) -> None:
    # Ties (P = k Vth / T) are in: float64 sums of a few float32 values are exact.
    prompt = with_currents(torch.tensor(p), threshold=threshold, steps=steps)
    assert prompt.counts().flatten().tolist() == [spikes_in_closed_form(x, threshold, steps) for x in p]


def test_a_threshold_that_float32_rounds_is_the_same_everywhere() -> None:
    prompt = spike_nvpt(threshold=0.3)
    generator = prompt.generator()
    neurons = generator.chain[1]
    assert neurons.threshold == float(neurons.leaky.threshold) == float(prompt.neurons.leaky.threshold)


@settings(deadline=None)
@given(st.integers(1, 24), st.data())
def test_a_bit_is_one_from_theta_times_steps_spikes_on(steps: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, steps))
    prompt = spike_nvpt(PromptSite(1, steps + 1, (3, 32, 32), 16), tokens=1, steps=steps, theta=k / steps)
    counts = torch.arange(steps + 1)
    assert prompt.decode(counts).flatten().tolist() == [float(n >= k) for n in range(steps + 1)]


@pytest.mark.parametrize(("theta", "from_"), [(0.25, 0.25), (0.5, 0.5), (0.75, 1.0)])
def test_at_four_steps_the_bits_are_a_plain_threshold(theta: float, from_: float) -> None:
    p = torch.rand(1000) * 1.5
    prompt = with_currents(p, theta=theta)
    assert torch.equal(prompt.bits().flatten(), p > from_)


def test_training_and_evaluation_give_the_same_tokens() -> None:
    prompt = spike_nvpt(tokens=50, scale=0.5, learn_scale=True)
    trained = prompt.train().tokens()
    assert trained.requires_grad
    tokens = prompt.eval().tokens()
    assert torch.equal(trained, tokens)
    assert set(tokens.unique().tolist()) == {0.0, 0.5}
    assert prompt.density() == float((tokens != 0).double().mean())
    assert 0.4 < prompt.density() < 0.6


def test_gradient_is_the_product_of_two_arctangents() -> None:
    prompt = spike_nvpt(tokens=20, steps=1, threshold=0.75, theta=0.5)
    tokens = prompt.train().tokens()
    weights = torch.randn_like(tokens)
    (tokens * weights).sum().backward()
    p = prompt.p.detach()
    rate = (p > 0.75).float()

    def slope(x: torch.Tensor) -> torch.Tensor:
        return 1 / (1 + (math.pi * x) ** 2)  # ATan(2)

    expected = weights * slope(rate - 0.5) * slope(p - 0.75)
    # p - threshold is rounded, and what follows is smooth: at most 16 roundings of factors that are all positive.
    assert bool(((prompt.p.grad - expected).abs() <= 2 * gamma(16, U32) * expected.abs()).all())


def test_currents_start_in_their_range() -> None:
    usual = spike_nvpt(tokens=50).p.detach()
    narrow = spike_nvpt(tokens=50, init_low=0.4, init_high=0.6, threshold=2.0).p.detach()
    assert 0 <= float(usual.min()) < 0.05
    assert 0.95 < float(usual.max()) <= 1
    assert 0.8 <= float(narrow.min()) < 0.81
    assert 1.19 < float(narrow.max()) <= torch.tensor(1.2)


def test_alpha_is_the_steepness_of_both_surrogates() -> None:
    prompt = spike_nvpt(tokens=20, steps=1, threshold=0.75, theta=0.5, alpha=8.0)
    prompt.train().tokens().sum().backward()
    p = prompt.p.detach()

    def slope(x: torch.Tensor) -> torch.Tensor:
        return 4 / (1 + (4 * math.pi * x) ** 2)  # ATan(alpha): (alpha / 2) / (1 + (pi / 2 alpha x)^2)

    # A square, a sum and a quotient each in float32, twice, and their product; a rounded argument counts twice at most.
    expected = slope((p > 0.75).float() - 0.5) * slope(p - 0.75)
    assert prompt.p.grad is not None
    assert bool(((prompt.p.grad - expected).abs() <= 2 * gamma(32, U32) * expected).all())


def test_jitter_disturbs_currents_near_the_threshold_in_training_alone() -> None:
    prompt = spike_nvpt(tokens=50, steps=1, jitter=0.1, init_low=0.99, init_high=0.99)
    assert not prompt.eval().tokens().any()
    assert 0.4 < float(prompt.train().tokens().detach().mean()) < 0.52  # P(n > 0.1) = 0.46 for n ~ N(0, 1), 1,200 draws
    assert not spike_nvpt(tokens=50, steps=1, init_low=0.99, init_high=0.99).train().tokens().any()


def test_bits_can_be_learned() -> None:
    prompt = spike_nvpt(tokens=4).train()
    target = (torch.rand(prompt.p.shape) > 0.5).float()
    optimiser = torch.optim.Adam(prompt.parameters(), lr=0.05)
    for _ in range(100):
        tokens = prompt.tokens()
        optimiser.zero_grad()
        ((tokens - target) ** 2).sum().backward()
        optimiser.step()
    assert torch.equal(prompt.eval().tokens(), target)


def test_the_generator_and_decode_are_the_tokens() -> None:
    prompt = spike_nvpt(tokens=5, theta=0.75, scale=0.1, threshold=0.3, steps=7).eval()
    generator = prompt.generator()
    current, neurons = generator.chain
    spikes = spike_train(neurons, current().detach().double().expand(generator.steps, -1))
    tokens = prompt.tokens()
    assert torch.equal(prompt.decode(spikes.sum(0)), tokens)
    assert spikes.sum() > 0


def test_evaluation_keeps_nothing_stale() -> None:
    prompt = spike_nvpt().eval()
    before = prompt.tokens()
    prompt.p.data.fill_(2.0)
    after = prompt.tokens()
    assert not bool(before.all())
    assert bool(after.all())


def test_a_trained_prompt_can_be_copied_and_moved_to_float64() -> None:
    prompt = spike_nvpt().train()
    tokens = prompt.tokens()
    tokens.sum().backward()
    copied = copy.deepcopy(prompt).double().eval()
    assert torch.equal(copied.tokens(), prompt.eval().tokens())


def test_shallow_deep_scale_and_penalty() -> None:
    tokens = spike_nvpt(deep=False, tokens=7).tokens()
    assert tokens.shape == (1, 7, 8)
    assert [name for name, _ in spike_nvpt().named_parameters()] == ["p"]
    assert spike_nvpt(learn_scale=True).scale.numel() == 3
    assert spike_nvpt().penalty() == 0
    prompt = spike_nvpt(l1=2.0)
    penalty = prompt.penalty()
    assert float(penalty.detach()) == near(2 * float(prompt.counts().double().mean()) / 4, prompt.counts().numel(), U32)
    penalty.backward()
    assert prompt.p.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "wrong",
    [
        *({"tokens": 0}, {"steps": 0}, {"threshold": 0.0}, {"theta": 0.0}, {"theta": 1.1}, {"scale": 0.0}),
        *({"l1": -1.0}, {"init_low": math.inf}, {"init_high": -1.0}, {"alpha": 0.0}, {"jitter": -0.1}),
    ],
)
def test_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadSetting, match=next(iter(wrong))):
        spike_nvpt(**wrong)
