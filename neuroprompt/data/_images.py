"""Labelled images of one size: decoded once where they fit in memory, split and thinned class by class."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from neuroprompt.contracts.learning import Labelled, Preprocess
from neuroprompt.errors import BadData
from neuroprompt.images import pixels
from neuroprompt.progress import Progress

MEMORY_BYTES = 1_000_000_000
"""Images that need less than this stay decoded in memory; others are decoded each time."""

Indices = NDArray[np.int64]


class ImageList(Dataset[tuple[Tensor, int]]):
    """A map-style set of (image uint8 (3, H, W), label): `opened(i)` is image i in RGB, and any size."""

    def __init__(self, opened: Callable[[int], Image.Image], labels: Sequence[int], preprocess: Preprocess) -> None:
        self.opened, self.labels, self.preprocess = opened, np.asarray(labels, dtype=np.int64), preprocess
        self.decoded: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        image = self._decode(i) if self.decoded is None else self.decoded[i]
        return image, int(self.labels[i])

    def some(self, indices: Indices) -> ImageList:
        """The images at `indices`."""
        part = copy.copy(self)
        part.opened = lambda i: self.opened(int(indices[i]))
        part.labels = self.labels[indices]
        part.decoded = None if self.decoded is None else self.decoded[torch.from_numpy(indices)]
        return part

    def ready(self, progress: Progress, what: str) -> ImageList:
        """Decode all images now if they fit in memory, so that a broken one is found before work begins."""
        height, width = self.preprocess.size
        if len(self) and len(self) * 3 * height * width < MEMORY_BYTES:
            with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow lets go of Python's lock while it decodes
                images = pool.map(self._decode, range(len(self)))
                self.decoded = torch.stack(list(progress.track(images, what, len(self))))
        return self

    def _decode(self, i: int) -> Tensor:
        image = pixels(self.opened(i), self.preprocess.size, self.preprocess.interpolation)
        return torch.from_numpy(image).permute(2, 0, 1).contiguous()


def split(labels: NDArray[np.int64], share: float, seed: int) -> tuple[Indices, Indices]:
    """Indices in two parts, about `share` of every class (at least one) in the second, drawn by `seed`, each sorted."""
    generator = np.random.default_rng(seed)
    second = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        second.append(members[: max(1, round(share * len(members)))])
    chosen = np.sort(np.concatenate(second))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def thin(labels: NDArray[np.int64], limit: int, seed: int) -> Indices:
    """At most `limit` indices, the classes in turn, drawn by `seed`, sorted."""
    generator = np.random.default_rng(seed)
    turn = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = generator.permutation(len(members))
    # First one of each class, then another of each; the order of classes within a round is drawn as well.
    order = np.lexsort((generator.permutation(len(labels)), turn))
    return np.sort(order[:limit])


def labelled(
    train: ImageList,
    test: ImageList,
    classes: Sequence[str],
    *,
    val: ImageList | None = None,
    seed: int,
    limit: int,
    progress: Progress,
    drawn: bool = False,
    fix: str = "",
) -> Labelled:
    """The three splits, decoded where they fit in memory; without `val` a fifth of every class validates.

    That fifth is drawn by `seed`. `limit` > 0 keeps at most so many images of each split. Raises BadData, with `fix`,
    where a split has no image or a class too few to train with.
    """
    if len(classes) < 2:
        raise BadData(f"images of {len(classes)} class", "at least two classes", fix)
    few = int(np.bincount(train.labels, minlength=len(classes)).argmin())
    least, expected = (2, "two, one to validate with") if val is None else (1, "at least one")
    if (train.labels == few).sum() < least:
        got = f"class {classes[few]!r} has fewer than {('one', 'two')[least - 1]} training images"
        raise BadData(got, expected, fix)
    if val is None:
        train, val = (train.some(part) for part in split(train.labels, 0.2, seed))
    ready = []
    for name, images in (("training", train), ("validation", val), ("test", test)):
        if not len(images):
            raise BadData(f"there are no {name} images", "at least one", fix)
        kept = images.some(thin(images.labels, limit, seed)) if limit else images
        ready.append(kept.ready(progress, f"{name} images"))
    return Labelled(ready[0], ready[1], ready[2], tuple(classes), drawn)
