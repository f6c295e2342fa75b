"""VFPT: the real part of the Fourier transform of the first tokens, by its sum."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting

SITE = PromptSite(depth=2, width=8, image=(3, 32, 32), patch=4, widths=(4, 8))


@pytest.mark.parametrize(("share", "transformed"), [(0.0, 0), (0.5, 2), (0.99, 4), (1.0, 5)])
def test_the_sum_of_cosines(share: float, transformed: int) -> None:
    prompt: Any = Prompt.named("vfpt", site=SITE, tokens=5, share=share).double()
    tokens, plain = prompt.tokens().detach(), prompt.layout.dense(prompt.p).detach()
    m = transformed
    for block, width in enumerate((4, 8)):
        for k in range(m):
            for at in range(width):
                expected = sum(
                    float(plain[block, n, d]) * math.cos(2 * math.pi * (k * n / m + at * d / width))
                    for n in range(m)
                    for d in range(width)
                )
                # 40 products of numbers below 1, each within float32's 6e-8 (FFT is computed in float32)
                assert abs(float(tokens[block, k, at]) - expected) <= 40 * 1.2e-7
        assert not bool(tokens[block, :, width:].any())
    assert torch.equal(tokens[:, m:], plain[:, m:])


def test_every_value_learns() -> None:
    """In the real part a token k and its mirror image m - k are alike; the gradient reaches all of P all the same."""
    prompt: Any = Prompt.named("vfpt", site=SITE, tokens=6, share=1.0)
    torch.manual_seed(0)
    (prompt.tokens() * torch.randn(2, 6, 8)).sum().backward()
    assert bool((prompt.p.grad != 0).all())
    for wrong in ({"share": 1.5}, {"share": -0.1}, {"tokens": 0}):
        with pytest.raises(BadSetting):
            Prompt.named("vfpt", site=SITE, **wrong)
