"""Labelled images of one size: decoded once where they fit in memory, split and thinned class by class."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from neuroprompt.contracts.learning import Labelled
from neuroprompt.errors import BadData, BadSetting

MEMORY_BYTES = 1_000_000_000
"""Images that need less than this stay decoded in memory; others are decoded each time."""

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}

Indices = NDArray[np.int64]


class ImageList(Dataset[tuple[Tensor, int]]):
    """A map-style set of (image uint8 (3, H, W), label): `opened(i)` is image i; resized plainly, without a crop."""

    def __init__(
        self, opened: Callable[[int], Image.Image], labels: Sequence[int], size: tuple[int, int], interpolation: str
    ) -> None:
        if interpolation not in _FILTERS:
            raise BadSetting(f"interpolation {interpolation!r}", f"one of {', '.join(_FILTERS)}")
        self.opened, self.labels, self.size = opened, np.asarray(labels, dtype=np.int64), size
        self.filter = _FILTERS[interpolation]
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

    def ready(self) -> ImageList:
        """Decode all images now if they fit in memory, so that a broken one is found before work begins."""
        if len(self) and len(self) * 3 * self.size[0] * self.size[1] < MEMORY_BYTES:
            self.decoded = torch.stack([self._decode(i) for i in range(len(self))])
        return self

    def _decode(self, i: int) -> Tensor:
        height, width = self.size
        image = self.opened(i).convert("RGB")
        if image.size != (width, height):
            image = image.resize((width, height), self.filter)
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).contiguous()


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
    seed: int,
    limit: int,
    drawn: bool = False,
    fix: str = "",
) -> Labelled:
    """The three splits: a fifth of the training images validates; `limit` > 0 keeps at most so many of each split."""
    if len(classes) < 2:
        raise BadData(f"only {len(classes)} class of images", "at least two", fix)
    few = int(np.bincount(train.labels, minlength=len(classes)).argmin())
    if (train.labels == few).sum() < 2:
        raise BadData(f"class {classes[few]!r} has fewer than two training images", "two, one to validate with", fix)
    if not len(test):
        raise BadData("there are no test images", "at least one", fix)
    rest, val = split(train.labels, 0.2, seed)
    parts = []
    for images, indices in ((train, rest), (train, val), (test, np.arange(len(test)))):
        kept = indices[thin(images.labels[indices], limit, seed)] if limit else indices
        parts.append(images.some(kept).ready())
    return Labelled(parts[0], parts[1], parts[2], tuple(classes), drawn)
