"""VAPT: prompt tokens of patches, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from float_bounds import gamma
from net_bounds import assert_rounding_apart
from torch import nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting, Unsupported

SITE = PromptSite(depth=3, width=6, image=(3, 12, 16), patch=4)


def test_tokens_are_mixed_patches_and_a_small_network_of_them() -> None:
    """Place by place and token by token, in float64: rounding is far below 1e-9."""
    prompt: Any = Prompt.named("vapt", site=SITE, tokens=2, hidden=5).double()
    torch.manual_seed(0)
    for parameter in prompt.parameters():
        nn.init.normal_(parameter)
    patches = torch.randn(2, 12, 6, dtype=torch.float64)
    made = prompt.made(1, patches)
    for b in range(2):
        x = [
            (row - row.mean()) / (row.var(unbiased=False) + 1e-5).sqrt() * prompt.norm_weight[1] + prompt.norm_bias[1]
            for row in patches[b]
        ]
        kernel = prompt.kernel[1, 0, 0]
        places = [
            sum(kernel[i, j] * x[(row + i) * 4 + column + j] for i in range(2) for j in range(2))
            for row in range(2)
            for column in range(3)
        ]
        for n in range(2):
            z = sum(a * y for a, y in zip(prompt.mix[1, n], places, strict=True)) + prompt.offset[1, n]
            token = z + prompt.up.weight @ torch.clamp(prompt.down.weight @ z, min=0)
            assert_rounding_apart(made[b, n], token, gamma(2**20) * float(token.detach().abs().max()))


def test_it_begins_with_zeros_behind_the_first_block() -> None:
    prompt: Any = Prompt.named("vapt", site=SITE)
    stream, patches = prompt.stream(), torch.randn(2, 12, 6)
    assert torch.equal(stream.enter(patches), prompt.p.expand(2, -1, -1))
    assert not bool(stream.after(0, torch.randn(2, 10, 6), patches).any())


def test_what_cannot_be() -> None:
    for wrong in ({"kernel": 4}, {"kernel": 0}, {"hidden": 0}, {"tokens": 0}):
        with pytest.raises(BadSetting):
            Prompt.named("vapt", site=SITE, **wrong)
    prompt: Any = Prompt.named("vapt", site=SITE)
    with pytest.raises(Unsupported, match="no grid of 3 x 4"):
        prompt.made(0, torch.randn(2, 11, 6))
