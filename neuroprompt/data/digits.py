"""Handwritten digits from scikit-learn's own package: 1797 images of 8x8, no download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from neuroprompt.contracts.learning import Data, Labelled, Preprocess
from neuroprompt.data._images import ImageList, labelled
from neuroprompt.images import as_rgb
from neuroprompt.progress import SILENT, Progress


@dataclass(frozen=True)
class _Opened:
    """Opens images of an array (n, H, W)."""

    images: NDArray[np.uint8]

    def __call__(self, i: int) -> Image.Image:
        return as_rgb(Image.fromarray(self.images[i]))


class Digits(Data):
    """UCI's optical digits (Alpaydin and Kaynak 1998), grey 0..16 scaled to 0..255 in three channels.

    A quarter is the test split, always the same one.
    """

    def __init__(self, limit: Annotated[int, "at most so many images of each split; 0: all"] = 0) -> None:
        self.limit = limit

    def load(self, preprocess: Preprocess, seed: int, progress: Progress = SILENT, *, val: str = "auto") -> Labelled:
        """The digits, resized as `preprocess` says."""
        grey, labels = load_digits(return_X_y=True)
        images = np.rint(grey.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        whole = ImageList(_Opened(images), labels, preprocess)
        classes = [str(digit) for digit in range(10)]
        return labelled(
            {"train": whole}, classes, seed=seed, val=val, limit=self.limit, progress=progress, test_share=0.25
        )
