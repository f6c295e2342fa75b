"""VAPT: prompt tokens of patches, by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from net_bounds import assert_rounding_apart, rounding
from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting, Unsupported

SITE = PromptSite(depth=3, width=6, image=(3, 12, 16), patch=4)


def by_hand(prompt: Any, patches: Tensor) -> Tensor:
    """The tokens behind block 1, place by place and token by token."""
    kernel, tokens = prompt.kernel[1, 0, 0], []
    for image in patches:
        x = [
            (row - row.mean()) / ((row - row.mean()).pow(2).mean() + 1e-5).sqrt() * prompt.norm_weight[1]
            + prompt.norm_bias[1]
            for row in image
        ]
        places = [
            sum(kernel[i, j] * x[(row + i) * 4 + column + j] for i in range(2) for j in range(2))
            for row in range(2)
            for column in range(3)
        ]
        for n in range(2):
            z = sum(a * y for a, y in zip(prompt.mix[1, n], places, strict=True)) + prompt.offset[1, n]
            tokens.append(z + prompt.up.weight @ torch.clamp(prompt.down.weight @ z, min=0))
    return torch.stack(tokens).view(len(patches), 2, -1)


def test_tokens_are_mixed_patches_and_a_small_network_of_them() -> None:
    """In float64; each way rounds as its own operations do."""
    prompt: Any = Prompt.named("vapt", site=SITE, tokens=2, hidden=5).double()
    torch.manual_seed(0)
    for parameter in prompt.parameters():
        nn.init.normal_(parameter)
    patches = torch.randn(2, 12, 6, dtype=torch.float64)
    bounds = [rounding(way, patches) for way in (partial(prompt.made, 1), partial(by_hand, prompt))]
    assert_rounding_apart(prompt.made(1, patches).detach(), by_hand(prompt, patches).detach(), *bounds)


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
