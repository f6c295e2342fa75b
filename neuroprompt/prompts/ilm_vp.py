"""ILM-VP: an image of its own small size inside a learnable frame, made for iterative label mapping."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from neuroprompt.contracts.learning import PromptSite
from neuroprompt.prompts._frame import REFERENCE, FramePrompt


class ILMVP(FramePrompt):
    """X' = pad0(X) + sigmoid(delta) around an image of side `side` (of 224); delta = 0, grey, at first.

    The paper keeps CIFAR, SVHN and GTSRB at side 32 and all other sets at 128: 147,456 and 101,376 parameters at 224
    pixels. All that is stored is learned; the release stores 150,528, the image's place masked. With CLIP it takes
    an additive frame around 164 pixels: side=164, sigmoid=false, 69,840 parameters. Its output mapping is a head of
    its own, iterative label mapping.

    Chen et al. 2023 (ILM-VP, CVPR, arXiv 2211.11635), released code.
    """

    def __init__(
        self,
        site: PromptSite,
        *,
        side: Annotated[int, "side of the image inside the frame in pixels, of 224"] = 128,
        sigmoid: Annotated[bool, "sigmoid(delta) around the image; no: delta itself"] = True,
    ) -> None:
        super().__init__(site, side, "side", side, f"from 1 to {REFERENCE - 1}, at {REFERENCE}")
        self.sigmoid = sigmoid

    def value(self, delta: Tensor) -> Tensor:
        """sigmoid(delta), or delta."""
        return torch.sigmoid(delta) if self.sigmoid else delta
