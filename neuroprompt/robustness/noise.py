"""Noises that test a prompt's robustness, on images in [0, 1] before normalisation: four, and those of ImageNet-C."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from neuroprompt.errors import BadSetting
from neuroprompt.robustness.corruptions import PARAMETERS, SEVERITIES, corrupt
from neuroprompt.robustness.distortions import as_jpeg

LEVELS: dict[str, tuple[float, ...]] = {
    "gaussian": (0.05, 0.1, 0.2),
    "salt-pepper": (0.01, 0.05, 0.1),
    "blur": (1, 2, 3),
    "jpeg": (50, 25, 10),
}
"""The levels that "all" stands for (ours: the paper gives none): sigma, probability, sigma in pixels, quality."""

EVERY_CORRUPTION = "imagenet-c"
"""The name of all corruptions of ImageNet-C at all severities."""

_EXAMPLES = ("gaussian:SIGMA", "salt-pepper:P", "blur:SIGMA", "jpeg:QUALITY", "TYPE:SEVERITY with TYPE of ImageNet-C")
_KINDS = {*LEVELS, *PARAMETERS}
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
    TYPE:s          a corruption of ImageNet-C (motion_blur, fog, ...; see `corruptions`) at severity s, 1 to 5
    """

    kind: str
    level: float

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            expected = f"all, {EVERY_CORRUPTION}, or one of {', '.join(_EXAMPLES)}"
            raise BadSetting(f"no noise is called {self.kind!r}", f"{expected} ({', '.join(PARAMETERS)})")
        low, high, expected = _RANGES.get(self.kind, (0, len(SEVERITIES), "a whole severity from 1 to 5"))
        whole = self.kind == "jpeg" or self.kind in PARAMETERS
        if not low < self.level <= high or (whole and self.level % 1):
            raise BadSetting(f"noise {self}", expected, f"for example {_example(self.kind)}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.level:g}"

    @classmethod
    def parse(cls, name: str) -> Noise:
        """`kind:level`, e.g. "gaussian:0.1"; raises BadSetting."""
        kind, _, level = name.partition(":")
        try:
            return cls(kind, float(level) if kind in _KINDS else math.nan)
        except ValueError as error:
            raise BadSetting(f"noise {name!r}", f"{kind}:LEVEL", f"for example {_example(kind)}") from error

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """The image (3, H, W) with noise; the same seed gives the same noise."""
        if self.kind in PARAMETERS:
            return corrupt(image, self.kind, int(self.level), seed)
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
        there = as_jpeg(image.permute(1, 2, 0).double().numpy(), int(self.level))
        return torch.from_numpy(there).float().permute(2, 0, 1).contiguous()


def parse_noises(names: Sequence[str]) -> list[Noise]:
    """Each of `names` as a Noise; raises BadSetting.

    "all" stands for every kind at every level of LEVELS, "imagenet-c" for every corruption at every severity.
    """
    groups: dict[str, Mapping[str, Sequence[float]]] = {
        "all": LEVELS,
        EVERY_CORRUPTION: dict.fromkeys(PARAMETERS, SEVERITIES),
    }
    noises: list[Noise] = []
    for name in names:
        every = [Noise(kind, level) for kind, levels in groups.get(name, {}).items() for level in levels]
        noises += every or [Noise.parse(name)]
    return list(dict.fromkeys(noises))


def _example(kind: str) -> str:
    return f"{kind}:{LEVELS.get(kind, SEVERITIES)[1]:g}"
