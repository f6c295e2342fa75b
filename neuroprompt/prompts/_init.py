"""What token prompts share: the checks of the blocks they enter, how their values lie, and VPT's initial values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from neuroprompt.contracts.learning import PromptSite
from neuroprompt.errors import BadSetting, Unsupported


def need_blocks(site: PromptSite, method: str) -> None:
    """Raise Unsupported where a backbone has no blocks that take tokens."""
    if site.depth < 1:
        raise Unsupported(
            f"{method} enters as tokens, and this backbone has no blocks that take tokens",
            "one that does, which 'neuroprompt backbones' lists",
            "choose another --backbone or --method",
        )


def need_one_width(site: PromptSite, method: str) -> None:
    """Raise Unsupported where what a block makes of a prompt cannot enter the next, as where they differ in width."""
    fix = "choose another --backbone, or a method with tokens of its own at every block, such as vpt-deep"
    if not site.handed_on:
        got = f"{method}'s tokens follow the image from block to block, and this backbone's blocks give none back"
        raise Unsupported(got, "a Vision Transformer", fix)
    if len(set(site.widths)) > 1:
        least, most = min(site.widths), max(site.widths)
        raise Unsupported(
            f"{method}'s tokens follow the image from block to block, which here have {least} to {most} channels",
            "a Vision Transformer",
            fix,
        )


def need_keys(site: PromptSite, method: str) -> None:
    """Raise Unsupported where a prompt cannot hold keys and values of attention themselves."""
    if not site.keyed:
        got = f"{method} has keys and values of its own, and this backbone's attention takes none"
        raise Unsupported(
            got, "a Vision Transformer", "choose another --backbone, or a method of tokens alone: vpt-deep"
        )


def need(sound: bool, setting: str, value: object, expected: str) -> None:
    """Raise BadSetting unless `sound`."""
    if not sound:
        raise BadSetting(f"{setting} {value}", expected)


def share(dropout: float) -> float:
    """`dropout` as it is; raises BadSetting unless it is a share below 1."""
    need(0 <= dropout < 1, "dropout", dropout, "a share from 0 to below 1")
    return dropout


@dataclass(frozen=True)
class Layout:
    """How the values of `count` tokens a block lie in a parameter, where block i has widths[i] channels.

    As (L, N, D) where all widths are equal. Otherwise in a row without padding, block by block and token by token:
    (N sum_i widths[i],).
    """

    count: int
    widths: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The parameter's shape."""
        if len(set(self.widths)) == 1:
            return len(self.widths), self.count, self.widths[0]
        return (self.count * sum(self.widths),)

    def dense(self, values: Tensor) -> Tensor:
        """(L, N, D) of values of that shape; zeros where a block has fewer than D channels."""
        if values.ndim == 3:
            return values
        widest = max(self.widths)
        parts = values.split([self.count * width for width in self.widths])
        return torch.stack(
            [F.pad(part.view(self.count, -1), (0, widest - w)) for part, w in zip(parts, self.widths, strict=True)]
        )


def vpt_uniform(blocks: int, tokens: int, site: PromptSite) -> Tensor:
    """Prompt tokens of the first `blocks` blocks ~ U(-v, v), v = sqrt(6 / (3 patch^2 + D)), as `Layout` has them.

    That is Xavier's range of the patch embedding. Where blocks differ in width, D is the first one's for all. Jia et
    al. 2022 (VPT), released code.
    """
    need(tokens >= 1, "tokens", tokens, "at least 1")
    v = math.sqrt(6.0 / (3 * site.patch**2 + site.widths[0]))
    return torch.empty(Layout(tokens, site.widths[:blocks]).shape).uniform_(-v, v)
