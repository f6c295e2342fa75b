"""VPT-deep: learnable tokens, new at every block."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.prompts._init import Layout, need_blocks, share, vpt_uniform


class VPTDeep(Prompt):
    """Learnable tokens P (L, N, D) that replace the prompt slots before every block.

    [c_i, _, X_i] = Block_i([c_{i-1}, P_i, X_{i-1}]),  i = 1..L.  Jia et al. 2022 (VPT), Eq. 4; L N D parameters,
    or N times the sum of all widths where blocks differ (Swin). `dropout` zeroes that share of their values in a
    training step, the same ones for all images of the step (the release: for each image anew).
    """

    enters = "tokens"

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens of each block"] = 10,
        dropout: Annotated[float, "share of the tokens' values that training zeroes"] = 0.0,
    ) -> None:
        super().__init__()
        need_blocks(site, "vpt-deep")
        self.dropout = share(dropout)
        self.layout = Layout(tokens, site.widths)
        self.p = nn.Parameter(vpt_uniform(site.depth, tokens, site))

    def tokens(self) -> Tensor:
        """P, (L, N, D)."""
        p = self.layout.dense(self.p)
        return nn.functional.dropout(p, self.dropout) if self.training and self.dropout else p
