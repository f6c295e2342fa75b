"""Handwritten digits from scikit-learn's own package: 1797 images of 8x8, no download."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
        grey, labels = _digits()
        images = np.rint(grey.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        whole = ImageList(_Opened(images), labels, preprocess)
        classes = [str(digit) for digit in range(10)]
        return labelled(
            {"train": whole}, classes, seed=seed, val=val, limit=self.limit, progress=progress, test_share=0.25
        )


def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What `sklearn.datasets.load_digits` gives, read from its file: to import scikit-learn, pandas and all, takes seconds.

    Where the file is not in its place, by that function.
    """
    package = find_spec("sklearn")
    file = Path(package.origin or "").parent / "datasets" / "data" / "digits.csv.gz" if package else Path()
    if not file.is_file():
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        return images, labels
    rows = np.loadtxt(file, delimiter=",")
    return rows[:, :-1], rows[:, -1].astype(np.int64)
