"""LoR-VP: one low-rank image that is added to every image."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.prompts._init import need


class LoRVP(Prompt):
    """X' = X + L R, per colour channel; L (C, H, r) = 0 and R (C, r, W) ~ N(0, 0.01) at first: C r (H + W) parameters.

    X is the whole image in [0, 1], X' is not clipped. Rank 4 at 224 pixels: 5,376 parameters.

    Jin et al. 2025 (LoR-VP), released code; its script trains no prompt, because it looks for another name.
    """

    enters = "pixels"

    def __init__(
        self, site: PromptSite, *, rank: Annotated[int, "rank of the image that is added, per colour channel"] = 4
    ) -> None:
        super().__init__()
        channels, height, width = site.image
        need(1 <= rank <= min(height, width), "rank", rank, f"from 1 to {min(height, width)}")
        self.left = nn.Parameter(torch.zeros(channels, height, rank))
        self.right = nn.Parameter(0.01 * torch.randn(channels, rank, width))

    def pixels(self, images: Tensor) -> Tensor:
        """X + L R, (B, C, H, W)."""
        return images + self.left @ self.right
