"""AutoVP: a scaled image inside a learnable frame."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from neuroprompt.contracts.learning import PromptSite
from neuroprompt.prompts._frame import REFERENCE, FramePrompt

BASE = 128
"""Side of the image at scale 1, in an image of 224 pixels."""


class AutoVP(FramePrompt):
    """X' = pad0(X_s) + sigmoid(delta) around the image X_s of side 128 `scale` (of 224); delta = 0: grey at first.

    `sigmoid=false` is the additive frame that the paper uses with CLIP: delta itself. The paper tries scales 0.5, 1
    and 1.5; at 224 pixels those have 138,240, 101,376 and 39,936 parameters, and 1.25 has 73,728. All that is stored
    is learned; the release stores 150,528, the image's place masked.

    The paper's trainable scale is not here: a static prompt's image has one size, which data are resized to.

    Tsao et al. 2024 (AutoVP, ICLR, arXiv 2310.08381), released code.
    """

    def __init__(
        self,
        site: PromptSite,
        *,
        scale: Annotated[float, "side of the image inside the frame, in units of 128 pixels of 224"] = 1.0,
        sigmoid: Annotated[bool, "sigmoid(delta) around the image; no: delta itself"] = True,
    ) -> None:
        super().__init__(site, BASE * scale, "scale", scale, f"between 0 and {REFERENCE / BASE}")
        self.sigmoid = sigmoid

    def value(self, delta: Tensor) -> Tensor:
        """sigmoid(delta), or delta."""
        return torch.sigmoid(delta) if self.sigmoid else delta
