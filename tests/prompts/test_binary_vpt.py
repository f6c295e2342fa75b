"""Binary VPT: its bits, its two gradients, and what it shares with Spike-NVPT once that is deployed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from float_bounds import U32, gamma
from torch.nn import functional

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting

SITE = PromptSite(depth=3, width=8, image=(3, 32, 32), patch=16)
GROWING = PromptSite(depth=2, width=8, image=(3, 32, 32), patch=4, widths=(4, 8))


def binary_vpt(site: PromptSite = SITE, **settings: Any) -> Any:
    return Prompt.named("binary-vpt", site=site, **settings)


@pytest.mark.parametrize("surrogate", ["identity", "atan"])
@pytest.mark.parametrize("sign", [False, True])
def test_training_and_evaluation_give_the_same_binary_tokens(surrogate: str, sign: bool) -> None:
    prompt = binary_vpt(tokens=50, scale=0.5, sign=sign, surrogate=surrogate)
    trained = prompt.train().tokens()
    assert trained.requires_grad
    assert trained.shape == (3, 50, 8)
    assert torch.equal(trained, prompt.eval().tokens())
    assert set(trained.unique().tolist()) == ({-0.5, 0.5} if sign else {0.0, 0.5})
    assert torch.equal(prompt.bits(), trained > 0)
    assert 0.4 < prompt.density() == float((trained > 0).double().mean()) < 0.6


def test_a_value_at_the_threshold_is_no_bit() -> None:
    prompt = binary_vpt(threshold=0.25)
    prompt.p.data.fill_(0.25)
    assert not prompt.tokens().any()
    prompt.p.data.fill_(0.2500001)
    assert prompt.tokens().all()


@pytest.mark.parametrize("surrogate", ["identity", "atan"])
def test_the_gradient_is_the_identity_or_one_arctangent(surrogate: str) -> None:
    prompt = binary_vpt(tokens=20, threshold=0.75, scale=2.0, surrogate=surrogate).train()
    tokens = prompt.tokens()
    weights = torch.randn_like(tokens)
    (tokens * weights).sum().backward()
    x = prompt.p.detach() - 0.75
    slope = 1 / (1 + (math.pi * x) ** 2) if surrogate == "atan" else 1.0
    # Two products, and for atan a square, a sum and a quotient, in float32 on either side; x itself is one rounding of
    # numbers below 1, which changes the slope by less than 4 times that.
    expected = 2 * weights * slope
    assert prompt.p.grad is not None
    assert bool(((prompt.p.grad - expected).abs() <= 2 * gamma(16, U32) * (2 * weights).abs()).all())


def test_its_bits_are_those_that_spike_nvpt_deploys() -> None:
    spiking: Any = Prompt.named("spike-nvpt", site=SITE, tokens=50)
    prompt = binary_vpt(tokens=50)
    prompt.p.data.copy_(spiking.p)
    assert torch.equal(prompt.tokens(), spiking.eval().tokens())


def test_signs_are_the_same_model_where_a_block_normalises_its_tokens() -> None:
    """LN(2 B - 1) = LN(B), here without LN's epsilon, and the gradient of P is the same. Powers of 2 are exact."""
    site = PromptSite(depth=3, width=64, image=(3, 32, 32), patch=16)
    made = []
    for sign in (False, True):
        prompt = binary_vpt(site, tokens=4, sign=sign).double().train()
        prompt.p.data.copy_(torch.linspace(-0.5, 0.5, 64).roll(5).expand(3, 4, 64).double() + prompt.threshold)
        normalised = functional.layer_norm(prompt.tokens(), (64,), eps=0.0)
        (normalised * torch.arange(64.0, dtype=torch.float64)).sum().backward()
        made.append((normalised.detach(), prompt.p.grad))
    assert torch.equal(made[0][0], made[1][0])
    assert made[0][1].any()
    assert torch.equal(made[0][1], made[1][1])


def test_bits_can_be_learned() -> None:
    prompt = binary_vpt(tokens=4).train()
    target = (torch.rand(prompt.p.shape) > 0.5).float()
    optimiser = torch.optim.Adam(prompt.parameters(), lr=0.05)
    for _ in range(100):
        loss = ((prompt.tokens() - target) ** 2).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert torch.equal(prompt.eval().tokens(), target)


def test_shallow_and_growing_widths() -> None:
    assert binary_vpt(deep=False, tokens=7).tokens().shape == (1, 7, 8)
    prompt = binary_vpt(GROWING, tokens=5)
    assert prompt.p.shape == (5 * 12,)
    tokens = prompt.tokens()
    assert tokens.shape == (2, 5, 8)
    assert not tokens[0, :, 4:].any()


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"threshold": math.inf}, {"surrogate": "none"}, {"scale": 0.0}])
def test_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadSetting, match=next(iter(wrong))):
        binary_vpt(**wrong)
