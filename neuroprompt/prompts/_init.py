"""What token prompts share: the check that there are blocks to enter, and VPT's initial values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neuroprompt.contracts import Site
from neuroprompt.errors import BadSetting, Unsupported


def need_blocks(site: Site, method: str) -> None:
    """Raise Unsupported where a backbone has no blocks that take tokens."""
    if site.depth < 1:
        raise Unsupported(
            f"{method} enters as tokens, and this backbone has no blocks that take tokens",
            "a Vision Transformer",
            "choose another --backbone or --method",
        )


def need(sound: bool, setting: str, value: object, expected: str) -> None:
    """Raise BadSetting unless `sound`."""
    if not sound:
        raise BadSetting(f"{setting} {value}", expected)


def vpt_uniform(blocks: int, tokens: int, site: Site) -> Tensor:
    """Prompt tokens (blocks, N, D) ~ U(-v, v), v = sqrt(6 / (3 patch^2 + D)): Xavier's range of the patch embedding.

    Jia et al. 2022 (VPT), released code.
    """
    need(tokens >= 1, "tokens", tokens, "at least 1")
    v = math.sqrt(6.0 / (3 * site.patch**2 + site.width))
    return torch.empty(blocks, tokens, site.width).uniform_(-v, v)
