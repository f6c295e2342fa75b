"""What static pixel prompts with a frame share: a smaller image in the middle, and the learnable pixels around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.contracts.padding import margins
from neuroprompt.prompts._init import need

REFERENCE = 224
"""Sizes of images and pads are given for images of so many pixels, and scale with the backbone's image."""


class FramePrompt(Prompt):
    """X' = pad0(X) + m: the image X in the middle of zeros, and m = value(delta) around it, 0 on it.

    X' (B, C, H, W), X (B, C, h, w) with h = round(side H / 224), w likewise. Only the frame's pixels are parameters:
    delta (C, H W - h w), zero at first, in the order of the image's rows. The releases of these methods store the
    whole (C, H, W) and mask it. Raises BadSetting where the image or the frame has no pixel.
    """

    enters = "pixels"
    where: Tensor

    def __init__(self, site: PromptSite, side: float, setting: str, value: object, expected: str) -> None:
        super().__init__()
        channels, height, width = site.image
        # Before rounding: infinite and not-a-number have no whole part.
        need(0 < side < REFERENCE, setting, value, expected)
        tall, wide = round(side * height / REFERENCE), round(side * width / REFERENCE)
        frame = height * width - tall * wide
        need(tall > 0 and wide > 0 and frame > 0, setting, value, f"{expected} (images of {height} x {width} pixels)")
        self.size, self.image = (tall, wide), site.image
        self.margins = margins(self.size, (height, width))
        around = F.pad(torch.zeros(tall, wide), self.margins, value=1.0)
        self.register_buffer("where", around.flatten().nonzero().flatten(), persistent=False)
        self.delta = nn.Parameter(torch.zeros(channels, frame))

    def value(self, delta: Tensor) -> Tensor:
        """The frame's pixels (C, n), of the parameters."""
        return delta

    def constant(self) -> Tensor:
        """m (C, H, W)."""
        channels, height, width = self.image
        values = self.value(self.delta)
        return values.new_zeros(channels, height * width).index_copy(1, self.where, values).view(self.image)

    def pixels(self, images: Tensor) -> Tensor:
        """pad0(X) + m, (B, C, H, W), of images (B, C, h, w)."""
        return F.pad(images, self.margins) + self.constant()

    def image_size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.size
