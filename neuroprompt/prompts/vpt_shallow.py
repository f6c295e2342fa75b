"""VPT-shallow: learnable tokens that enter before the first block."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.prompts._init import need_blocks, need_one_width, share, vpt_uniform


class VPTShallow(Prompt):
    """Learnable tokens P (1, N, D) that enter block 1 and pass through the others.

    [c_1, Z_1, X_1] = Block_1([c_0, P, X_0]);  [c_i, Z_i, X_i] = Block_i([c_{i-1}, Z_{i-1}, X_{i-1}]),  i = 2..L.
    Jia et al. 2022 (VPT), Eqs. 1 to 3; N D parameters. `dropout` zeroes that share of P's values in a training step,
    the same ones for all images of the step (the release: for each image anew).
    """

    enters = "tokens"

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens"] = 10,
        dropout: Annotated[float, "share of the tokens' values that training zeroes"] = 0.0,
    ) -> None:
        super().__init__()
        need_blocks(site, "vpt-shallow")
        need_one_width(site, "vpt-shallow")
        self.dropout = share(dropout)
        self.p = nn.Parameter(vpt_uniform(1, tokens, site))

    def tokens(self) -> Tensor:
        """P, (1, N, D)."""
        return nn.functional.dropout(self.p, self.dropout) if self.training and self.dropout else self.p
