"""Augmentation of training images: a random crop, a flip; drawn from seed, epoch and place, so that it repeats."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, cast

import numpy as np
from torch import Tensor

from neuroprompt.contracts.learning import Images, Preprocess
from neuroprompt.errors import Unsupported

SMALLER = 7 / 8
"""Side of a random crop in the resized image: 224 of 256 pixels."""
AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
"""Share of the area and ratio of the sides of a random resized crop."""
TRIES = 10
"""After so many parts that do not fit, the middle is taken."""

Box = tuple[float, float, float, float]
Size = tuple[int, int]


class Croppable(Protocol):
    """Images of which a part can be had: what `neuroprompt.data` gives."""

    def cropped(self, i: int, choose: Callable[[Size, Preprocess], Box]) -> tuple[Tensor, int]:
        """The part of image i, resized to the size of the others, and its label.

        `choose` gives the part (left, top, right, bottom) of the image's size (width, height).
        """


def augmented(images: Images, i: int, how: str, seed: Sequence[int]) -> tuple[Tensor, int]:
    """Image i, uint8 (3, H, W), augmented as `how` says, and its label; everything random is drawn from `seed`.

    crop          7/8 of the sides that cover the size, at a random place: 224 pixels of 256
    resized-crop  a random part of 8 to 100 % of the area with sides of 3:4 to 4:3, as torchvision draws it
    flip          left and right, every other time; "+" joins it with one of the two

    Raises Unsupported for images that cannot be cropped.
    """
    generator = np.random.default_rng(tuple(seed))
    parts = how.split("+")
    if parts[0] == "flip":
        image, label = images[i]
    elif hasattr(images, "cropped"):
        choose = part_of if parts[0] == "resized-crop" else moved
        image, label = cast(Croppable, images).cropped(i, partial(choose, generator=generator))
    else:
        raise Unsupported(f"augment {how} of {type(images).__name__}", "images that can be cropped", "--augment flip")
    return (image.flip(2) if "flip" in parts and generator.random() < 0.5 else image), label


def moved(size: Size, how: Preprocess, generator: np.random.Generator) -> Box:
    """7/8 of the sides at a random place: of the image where it is stretched, else of what covers its size."""
    tall, wide = how.size
    across, down = size[0] / wide, size[1] / tall  # pixels of the image in one of the result, at full sides
    if how.crop_pct is not None and how.crop_mode == "center":
        across = down = min(across, down)
    width, height = SMALLER * across * wide, SMALLER * down * tall
    left, top = generator.random() * (size[0] - width), generator.random() * (size[1] - height)
    return left, top, left + width, top + height


def part_of(size: Size, how: Preprocess, generator: np.random.Generator) -> Box:
    """A random part by AREA and RATIO; where none fits in TRIES, the largest middle part with a ratio in RATIO."""
    width, height = size
    for _ in range(TRIES):
        area = width * height * generator.uniform(*AREA)
        ratio = math.exp(generator.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        wide, tall = max(1, round(math.sqrt(area * ratio))), max(1, round(math.sqrt(area / ratio)))
        if wide <= width and tall <= height:
            left, top = int(generator.integers(width - wide + 1)), int(generator.integers(height - tall + 1))
            return left, top, left + wide, top + tall
    wide, tall = min(width, max(1, round(height * RATIO[1]))), min(height, max(1, round(width / RATIO[0])))
    left, top = (width - wide) // 2, (height - tall) // 2
    return left, top, left + wide, top + tall
