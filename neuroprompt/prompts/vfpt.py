"""VFPT: deep prompt tokens, a share of which passes through a Fourier transform."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.prompts._init import Layout, need, need_blocks, vpt_uniform


class VFPT(Prompt):
    """Tokens [Re F(P_1 .. P_m); P_(m+1) .. P_N] at every block, m = floor(share N), P (L, N, D) as VPT-deep's.

    F is the 2-D Fourier transform over the m tokens and a block's channels, without a factor:
    Re F(P)_kl = sum_nd P_nd cos(2 pi (k n / m + l d / D)). It is linear and knows no image: once trained, the tokens
    are constants, and are baked as VPT's are. L N D parameters. Raises BadSetting, Unsupported.

    Zeng et al., NeurIPS 2024 (arXiv 2411.01327), and the released code (runtsang/VFPT), which transforms the first
    tokens too and tries several shares; share = 0.5 is our choice.
    """

    enters = "tokens"

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens of each block"] = 10,
        share: Annotated[float, "share of the tokens that are transformed"] = 0.5,
    ) -> None:
        super().__init__()
        need_blocks(site, "vfpt")
        need(0 <= share <= 1, "share", share, "a share from 0 to 1")
        self.layout = Layout(tokens, site.widths)
        self.p = nn.Parameter(vpt_uniform(site.depth, tokens, site))
        self.transformed = math.floor(share * tokens)

    def tokens(self) -> Tensor:
        """(L, N, D), 0 behind a block's own channels."""
        return torch.stack(
            [self._of(block, width) for block, width in zip(self.layout.dense(self.p), self.layout.widths, strict=True)]
        )

    def _of(self, block: Tensor, width: int) -> Tensor:
        """The tokens (N, D) of one block, of which `width` channels are its own."""
        m = self.transformed
        if not m:
            return block
        waves = torch.fft.fft2(block[:m, :width].float()).real.to(block.dtype)
        return torch.cat([F.pad(waves, (0, block.shape[1] - width)), block[m:]])
