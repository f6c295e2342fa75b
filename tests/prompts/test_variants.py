"""Variants of methods: prompt dropout, faster gates, a fixed threshold in the place of LoRSP's neurons."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from float_bounds import U32, gamma
from net_bounds import assert_rounding_apart

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting

SITE = PromptSite(3, 16, (3, 8, 8), 4)


def prompt(name: str, **settings: object) -> Any:
    torch.manual_seed(0)
    return cast(Any, Prompt.named(name, site=SITE, **settings))


@pytest.mark.parametrize("name", ["vpt-deep", "vpt-shallow"])
def test_dropout_zeroes_a_share_in_training_alone(name: str) -> None:
    plain, dropped = prompt(name, tokens=50).train(), prompt(name, tokens=50, dropout=0.5).train()
    tokens, whole = dropped.tokens(), plain.tokens()
    kept = tokens != 0
    assert torch.equal(tokens[kept], 2 * whole[kept])
    assert 0.4 < float(kept.double().mean()) < 0.6  # at least 800 values: six deviations are 0.11
    assert torch.equal(dropped.eval().tokens(), whole)


def test_gate_vpt_drops_for_each_image_anew() -> None:
    patches = torch.randn(2, 4, 16)
    dropped = prompt("gate-vpt", tokens=50, dropout=0.5).train()
    first, second = dropped.stream().enter(patches)
    assert not torch.equal(first, second)
    first, second = dropped.eval().stream().enter(patches)
    assert torch.equal(first, second)


def test_a_gain_moves_the_gates_faster_and_starts_them_at_the_same_place() -> None:
    """d gate / d u = gain d gate / d w: a step of SGD moves w = gain u by gain squared, one of Adam by gain."""
    moved = {}
    for gain in (1.0, 4.0):
        for optimiser in (torch.optim.SGD, torch.optim.Adam):
            gated = prompt("gate-vpt", gate_gain=gain, gate_init=4.0)
            w = gain * gated.gates
            assert torch.equal(w, torch.full((2,), -4.0))
            step = cast(Any, optimiser)([gated.gates], lr=2.0**-10)
            gated.stream().gates.sum().backward()
            step.step()
            moved[gain, optimiser.__name__] = float((gain * gated.gates.detach() - w.detach())[0].abs())
    assert abs(moved[4.0, "SGD"] / moved[1.0, "SGD"] - 16) < 0.16  # differences of float32 near 4
    assert abs(moved[4.0, "Adam"] / moved[1.0, "Adam"] - 4) < 0.04


def test_a_fixed_threshold_is_the_factor_where_it_is_above() -> None:
    images = torch.rand(2, 3, 8, 8)
    fixed = prompt("lorsp", gate="fixed", rank=2, deviation=0.5, threshold=0.1)
    factors = fixed.eval().factors(images)
    expected = (factors * (factors > 0.1)).mean(1)
    assert_rounding_apart(fixed.prompts(images), expected, gamma(4, U32) * float(factors.detach().abs().max()))
    assert not fixed.spiking
    assert fixed.generator() is None
    assert fixed.gated() is None
    fixed.train().pixels(images).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in fixed.parameters())


@pytest.mark.parametrize(
    ("name", "settings"),
    [("vpt-deep", {"dropout": 1.0}), ("gate-vpt", {"gate_gain": 0.0}), ("gate-vpt", {"dropout": -0.1})],
)
def test_other_values_are_one_line(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(BadSetting):
        prompt(name, **settings)
