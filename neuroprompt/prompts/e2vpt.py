"""E2VPT: deep prompt tokens, keys and values of their own, and masks that prune tokens and segments of them."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.prompts._init import need, need_blocks, need_keys, vpt_uniform


class E2VPT(Prompt):
    """Tokens P_i (N, D), keys K_i and values V_i (M, D) of every block i:

    softmax(Q [K; W_k norm(m P_i); K_i]^T / sqrt d) [V; W_v norm(m P_i); V_i]

    K_i and V_i enter attention as they are, behind any norm and rotation of the network's own; `shared`: K_i = V_i. The
    mask m is 0 or 1 for each token, times 0 or 1 for each of `segments` equal parts of a token's channels, the same in
    all blocks. It drops the shares `prune` and `prune_segments` whose scores are lowest. Scores are 1 at first; in
    training dm/dscore counts as 1, so that under SGD a score sums up what the loss says of its mask. A pruned token
    stays as zeros, as in the release: its key and value are those of norm's bias. Masks, tokens, keys and values know
    no image: all are baked. L (N + M) D parameters (M twice if not shared), N scores of tokens and N S of segments.
    Raises BadSetting, Unsupported.

    Han et al., ICCV 2023 (arXiv 2307.13770), and the released code (ChengHan111/E2VPT), which finds the masks by the
    gradients of a first training and then trains anew from the start. One training, the initial values of keys and
    values (VPT's) and the shares are our choice.
    """

    enters = "tokens"

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens of each block"] = 10,
        keys: Annotated[int, "keys, and as many values, of each block"] = 5,
        shared: Annotated[bool, "a value is the same numbers as its key"] = True,
        prune: Annotated[float, "share of the tokens that the mask drops"] = 0.2,
        prune_segments: Annotated[float, "share of the segments of each token that the mask drops"] = 0.25,
        segments: Annotated[int, "equal parts of a token's channels"] = 8,
    ) -> None:
        super().__init__()
        need_blocks(site, "e2vpt")
        need_keys(site, "e2vpt")
        need(keys >= 1, "keys", keys, "at least 1")
        need(0 <= prune < 1, "prune", prune, "a share from 0 to below 1")
        need(0 <= prune_segments < 1, "prune_segments", prune_segments, "a share from 0 to below 1")
        sound = segments >= 1 and site.width % segments == 0
        need(sound, "segments", segments, f"a number that divides {site.width} channels")
        self.keyed = keys
        self.p = nn.Parameter(vpt_uniform(site.depth, tokens, site))
        self.k = nn.Parameter(vpt_uniform(site.depth, keys, site))
        self.v = None if shared else nn.Parameter(vpt_uniform(site.depth, keys, site))
        self.dropped, self.dropped_segments = math.floor(prune * tokens), math.floor(prune_segments * segments)
        self.scores = nn.Parameter(torch.ones(tokens)) if self.dropped else None
        self.segment_scores = nn.Parameter(torch.ones(tokens, segments)) if self.dropped_segments else None

    def tokens(self) -> Tensor:
        """(L, N + 2 M, D): masked tokens, keys, values."""
        p: Tensor = self.p
        if self.scores is not None:
            p = p * kept(self.scores, self.dropped)[:, None]
        if self.segment_scores is not None:
            mask = kept(self.segment_scores, self.dropped_segments)
            p = p * mask.repeat_interleave(p.shape[2] // mask.shape[1], dim=1)
        return torch.cat([p, self.k, self.k if self.v is None else self.v], dim=1)


def kept(scores: Tensor, dropped: int) -> Tensor:
    """0 for the `dropped` lowest scores of the last dimension, 1 for the others; the gradient passes as it is.

    Of equal scores the last are dropped.
    """
    order = scores.detach().argsort(dim=-1, descending=True, stable=True)
    mask = torch.ones_like(scores.detach()).scatter(-1, order[..., scores.shape[-1] - dropped :], 0.0)
    return mask + (scores - scores.detach())
