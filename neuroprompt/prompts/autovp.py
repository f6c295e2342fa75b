"""AutoVP: a scaled image inside a learnable frame; its scale may be learned too."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from neuroprompt.contracts.gradients import clipped
from neuroprompt.contracts.learning import PromptSite
from neuroprompt.prompts._frame import REFERENCE, FramePrompt
from neuroprompt.prompts._init import need

BASE = 128
"""Side of the image at scale 1, in an image of 224 pixels."""
LEAST, MOST = 0.1, 5.0
"""Bounds of a scale that is learned, as in the released code."""


class AutoVP(FramePrompt):
    """X' = pad0(X_s) + sigmoid(delta) around the image X_s of side 128 `scale` (of 224); delta = 0: grey at first.

    `sigmoid=false` is the additive frame that the paper uses with CLIP: delta itself. The paper tries scales 0.5, 1
    and 1.5; at 224 pixels those have 138,240, 101,376 and 39,936 parameters, and 1.25 has 73,728. All that is stored
    is learned; the release stores 150,528, the image's place masked.

    `learn_scale`: s is a parameter too, `scale` at first and from 0.1 to 5. The image X has side 128, and X_s is it,
    magnified by s about the canvas' middle with bilinear weights w: X_s = w(s) pad0(X) w(s)^T, of height H and

        w(s)_ij = max(0, 1 - |c + (i - c) / s - j|),  c = (H - 1) / 2

    which has a gradient in s. delta has all C H W pixels; those less than floor(128 s) / 2 from the middle are off.
    Once trained, s is fixed: deployment keeps two constant matrices. `scale_clip` limits the gradient of s; the release
    has 0.001 with CLIP.

    Tsao et al. 2024 (AutoVP, ICLR, arXiv 2310.08381), section 3 and released code.
    """

    def __init__(
        self,
        site: PromptSite,
        *,
        scale: Annotated[float, "side of the image inside the frame, in units of 128 pixels of 224"] = 1.0,
        sigmoid: Annotated[bool, "sigmoid(delta) around the image; no: delta itself"] = True,
        learn_scale: Annotated[bool, "learn the scale, from `scale` on"] = False,
        scale_clip: Annotated[float, "largest gradient of a learned scale; 0: any"] = 0.0,
    ) -> None:
        expected = f"between 0 and {REFERENCE / BASE}"
        need(0 < scale < REFERENCE / BASE, "scale", scale, expected)
        need(scale_clip >= 0, "scale_clip", scale_clip, "at least 0")
        super().__init__(site, BASE * (1.0 if learn_scale else scale), "scale", scale, expected)
        self.sigmoid, self.scale_clip = sigmoid, scale_clip
        self.scale: nn.Parameter | None = None
        if learn_scale:
            channels, height, width = self.image
            self.delta = nn.Parameter(torch.zeros(channels, height * width))
            self.scale = nn.Parameter(torch.tensor(float(scale)))

    def value(self, delta: Tensor) -> Tensor:
        """sigmoid(delta), or delta."""
        return torch.sigmoid(delta) if self.sigmoid else delta

    def constant(self) -> Tensor:
        """m (C, H, W)."""
        if self.scale is None:
            return super().constant()
        s = self.scale.detach().clamp(LEAST, MOST)
        inside = [_inside(part, whole, s) for part, whole in zip(self.size, self.image[1:], strict=True)]
        return self.value(self.delta).view(self.image) * ~(inside[0][:, None] & inside[1])

    def pixels(self, images: Tensor) -> Tensor:
        """pad0(X_s) + m, (B, C, H, W), of images (B, C, h, w)."""
        matrices = self.resampling()
        if matrices is None:
            return super().pixels(images)
        with torch.autocast(images.device.type, enabled=False):  # half precision would round the image's places
            return matrices[0] @ images @ matrices[1] + self.constant()

    def resampling(self) -> tuple[Tensor, Tensor] | None:
        """w(s) (H, h) and (w, W), which take an image to its place on the canvas; None where the scale is fixed."""
        if self.scale is None:
            return None
        left, right, top, bottom = self.margins
        s = clipped(self.scale, self.scale_clip)
        s = s + (s.clamp(LEAST, MOST) - s).detach()  # bounded, and free to come back
        tall, wide = (_bilinear(whole, s) for whole in self.image[1:])
        return tall[:, top : len(tall) - bottom], wide[:, left : len(wide) - right].T


def _bilinear(size: int, s: Tensor) -> Tensor:
    """(size, size): row i holds the bilinear weights of what lies at pixel i once `size` pixels are magnified by s."""
    places = torch.arange(size, dtype=s.dtype, device=s.device)
    middle = (size - 1) / 2
    read = middle + (places - middle) / s
    return (1 - (read[:, None] - places).abs()).clamp(min=0)


def _inside(part: int, whole: int, s: Tensor) -> Tensor:
    """(whole,): which of `whole` pixels an image of floor(part s) in their middle covers."""
    covered = (part * s).floor().clamp(max=whole)
    first = ((whole - covered) / 2).floor()
    places = torch.arange(whole, device=s.device)
    return (places >= first) & (places < first + covered)
