"""EVP: a learnable frame around a smaller image, with gradients of norm 1."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from neuroprompt.contracts.learning import PromptSite
from neuroprompt.errors import Unsupported
from neuroprompt.prompts._frame import REFERENCE, FramePrompt

TINY = 1e-10
"""Keeps the normalised gradient finite, as in the released code."""


class EVP(FramePrompt):
    """X' = pad0(X) + delta around an image that leaves `pad` pixels on every side (of 224); delta = 0 at first.

    `unit_gradient`: the gradient g (C, H, W) of all pixels, those under the image too, becomes g / (||g|| + 1e-10);
    the frame's part of it moves delta. A step of plain SGD is then `lr` long at most, whatever the loss's scale; the
    paper's is 70, without momentum. It holds for each process's own share of a batch, and not in float16 training,
    whose scaled loss it would undo (raises Unsupported).

    At 224 pixels: 69,840 parameters learn and are stored; the release stores 150,528, the image's place masked.

    Wu et al. 2022 (EVP, arXiv 2212.10556), released code.
    """

    def __init__(
        self,
        site: PromptSite,
        *,
        pad: Annotated[int, "width of the frame in pixels, of 224"] = 30,
        unit_gradient: Annotated[bool, "scale the frame's gradient to norm 1"] = True,
    ) -> None:
        super().__init__(site, REFERENCE - 2 * pad, "pad", pad, f"from 1 to {REFERENCE // 2 - 1}, at {REFERENCE}")
        self.unit_gradient = unit_gradient

    def constant(self) -> Tensor:
        """delta around the image, 0 on it: (C, H, W)."""
        constant = super().constant()
        if self.unit_gradient and constant.requires_grad:
            kind = constant.device.type
            if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16:
                raise Unsupported(
                    "evp's unit gradient in float16", "32-true or bf16-mixed precision", "or unit_gradient=false"
                )
            constant.register_hook(lambda g: g / (g.norm() + TINY))
        return constant
