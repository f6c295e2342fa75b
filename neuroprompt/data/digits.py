"""Handwritten digits from scikit-learn's own package: 1797 images of 8x8, no download."""

from __future__ import annotations

import gzip
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


def read_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Grey values 0..16 (n, 64) and labels (n,), as `sklearn.datasets.load_digits` has them.

    From the package's file: to import scikit-learn takes as long as to import torch. Where a later version keeps it
    elsewhere, scikit-learn reads it. Raises ModuleNotFoundError.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    file = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if file.is_file():
        with gzip.open(file, "rt", encoding="ascii") as lines:
            rows = np.loadtxt(lines, delimiter=",")
        return rows[:, :-1], rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    grey, labels = load_digits(return_X_y=True)
    return grey, labels.astype(np.int64)


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
        grey, labels = read_digits()
        images = np.rint(grey.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        whole = ImageList(_Opened(images), labels.tolist(), preprocess)
        classes = [str(digit) for digit in range(10)]
        return labelled(
            {"train": whole}, classes, seed=seed, val=val, limit=self.limit, progress=progress, test_share=0.25
        )
