"""The four noises that test a prompt's robustness, on images in [0, 1] before normalisation."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from neuroprompt.errors import BadSetting

LEVELS: dict[str, tuple[float, ...]] = {
    "gaussian": (0.05, 0.1, 0.2),
    "salt-pepper": (0.01, 0.05, 0.1),
    "blur": (1, 2, 3),
    "jpeg": (50, 25, 10),
}
"""The levels that "all" stands for (ours: the paper gives none): sigma, probability, sigma in pixels, quality."""

_EXAMPLES = ("gaussian:SIGMA", "salt-pepper:P", "blur:SIGMA", "jpeg:QUALITY")
_RANGES = {
    "gaussian": (0.0, 10.0, "a standard deviation in (0, 10]"),
    "salt-pepper": (0.0, 1.0, "a probability in (0, 1]"),
    "blur": (0.0, 100.0, "a standard deviation in pixels in (0, 100]"),
    "jpeg": (0.0, 100.0, "a whole quality from 1 to 100"),
}


@dataclass(frozen=True)
class Noise:
    """One noise at one level; x an image (3, H, W) in [0, 1], and so is the result.

    gaussian:s      clip(x + s n, 0, 1),  n ~ N(0, 1)
    salt-pepper:p   a pixel turns black with probability p/2, white with p/2, all channels together
    blur:s          convolution with a Gaussian of s pixels, cut at 3 s
    jpeg:q          Pillow's JPEG at quality q, there and back
    """

    kind: str
    level: float

    def __post_init__(self) -> None:
        if self.kind not in LEVELS:
            raise BadSetting(f"no noise is called {self.kind!r}", f"all, or one of {', '.join(_EXAMPLES)}")
        low, high, expected = _RANGES[self.kind]
        if not low < self.level <= high or (self.kind == "jpeg" and self.level % 1):
            raise BadSetting(f"noise {self}", expected, f"for example {_example(self.kind)}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.level:g}"

    @classmethod
    def parse(cls, name: str) -> Noise:
        """`kind:level`, e.g. "gaussian:0.1"; raises BadSetting."""
        kind, _, level = name.partition(":")
        try:
            return cls(kind, float(level) if kind in LEVELS else math.nan)
        except ValueError as error:
            raise BadSetting(f"noise {name!r}", f"{kind}:LEVEL", f"for example {_example(kind)}") from error

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """The image (3, H, W) with noise; the same seed gives the same noise."""
        generator = torch.Generator().manual_seed(seed)
        if self.kind == "gaussian":
            return (image + self.level * torch.randn(image.shape, generator=generator)).clamp(0, 1)
        if self.kind == "salt-pepper":
            drawn = torch.rand(image.shape[1:], generator=generator)
            return image.masked_fill(drawn < self.level, 1.0).masked_fill(drawn < self.level / 2, 0.0)
        if self.kind == "blur":
            # Reflection at the border needs the radius to be smaller than the image.
            radius = min(math.ceil(3 * self.level), min(image.shape[1:]) - 1)
            blurred: Tensor = gaussian_blur(image, [2 * radius + 1] * 2, [float(self.level)] * 2)
            return blurred
        return _jpeg(image, int(self.level))


def parse_noises(names: Sequence[str]) -> list[Noise]:
    """Each of `names` as a Noise, "all" as every kind at every level of LEVELS; raises BadSetting."""
    noises: list[Noise] = []
    for name in names:
        every = [Noise(kind, level) for kind, levels in LEVELS.items() for level in levels]
        noises += every if name == "all" else [Noise.parse(name)]
    return list(dict.fromkeys(noises))


def _example(kind: str) -> str:
    return f"{kind}:{LEVELS[kind][1]:g}"


def _jpeg(image: Tensor, quality: int) -> Tensor:
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    back = np.asarray(Image.open(file), dtype=np.float32)
    return torch.from_numpy(back / 255).permute(2, 0, 1).contiguous()
