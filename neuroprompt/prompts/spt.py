"""SPT: deep prompt tokens that begin as prototypes of the task's own patch tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting
from neuroprompt.prompts._init import Layout, need, need_blocks, vpt_uniform

STARTS = ("kmeans", "mean", "random")
ROUNDS = 20
"""Of k-means, at most."""


class SPT(Prompt):
    """VPT-deep whose P_i (N, D) begin as N prototypes of the patch tokens that enter block i of the frozen network.

    `start` says which: the centres of k-means; the means of N equal parts of the sampled images; or N tokens drawn at
    random. The tokens are those of `images` training images. P then learns like VPT's, and is baked like it: L N D
    parameters, or N times the sum of all widths. Raises BadSetting, Unsupported.

    Wang et al., ICML 2024 (arXiv 2402.02382); the released code (SinAxCosB/Self-Prompt-Tuning) takes prototypes of
    k-means, pooling or random choice. 100 images, at most 10,000 tokens of them, and Lloyd's k-means are our choice.
    """

    enters = "tokens"

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens of each block"] = 10,
        start: Annotated[str, "prototypes of patch tokens: kmeans, mean or random"] = "kmeans",
        images: Annotated[int, "training images whose patch tokens are looked at"] = 100,
    ) -> None:
        super().__init__()
        need_blocks(site, "spt")
        need(start in STARTS, "start", start, f"one of {', '.join(STARTS)}")
        need(images >= 1, "images", images, "at least 1")
        self.start, self.sample = start, images
        self.layout = Layout(tokens, site.widths)
        self.p = nn.Parameter(vpt_uniform(site.depth, tokens, site))

    @torch.no_grad()
    def begin(self, blocks: Sequence[Tensor]) -> None:
        """P_i become N prototypes of block i's tokens; raises BadSetting where there are fewer than N."""
        count = self.layout.count
        for tokens in blocks:
            if len(tokens) < count:
                raise BadSetting(f"tokens {count}", f"at most {len(tokens)}, as many as there are patch tokens")
        chosen = [prototypes(tokens, count, self.start) for tokens in blocks]
        self.p.copy_(torch.cat([p.flatten() for p in chosen]).view(self.p.shape))

    def tokens(self) -> Tensor:
        """P, (L, N, D)."""
        return self.layout.dense(self.p)


def prototypes(tokens: Tensor, count: int, start: str) -> Tensor:
    """`count` prototypes (N, D) of tokens (n, D), drawn from torch's generator; see SPT."""
    if start == "mean":
        return torch.stack([part.mean(0) for part in tokens.tensor_split(count)])
    tokens = tokens.double()  # distances of near tokens are differences of large squares
    centres = tokens[torch.randperm(len(tokens))[:count]]
    if start == "random":
        return centres
    nearest = torch.full((len(tokens),), -1)
    for _ in range(ROUNDS):
        before, nearest = nearest, torch.cdist(tokens, centres).argmin(1)
        if torch.equal(before, nearest):
            break
        members = nearest.bincount(minlength=count)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, nearest, tokens)
        centres = torch.where(members > 0, sums / members.clamp(min=1), centres)  # an empty one stays where it is
    return centres
