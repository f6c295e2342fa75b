"""Labelled images of one size: decoded once where they fit in memory, split and thinned class by class."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from neuroprompt.contracts.learning import Labelled, Preprocess
from neuroprompt.contracts.specs import validation_share
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.images import cut, pixels, read_rgb
from neuroprompt.progress import Progress

MEMORY_BYTES = 1_000_000_000
"""Images that need less than this stay decoded in memory; others are decoded each time."""

Indices = NDArray[np.int64]
Box = tuple[float, float, float, float]


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

    def cropped(self, i: int, choose: Callable[[tuple[int, int], Preprocess], Box]) -> tuple[Tensor, int]:
        """The part (left, top, right, bottom) that `choose` gives of image i's size (width, height), and its label."""
        image, how = self.opened(i), self.preprocess
        return _tensor(cut(image, how.size, how.interpolation, choose(image.size, how))), int(self.labels[i])

    def some(self, indices: Indices) -> ImageList:
        """The images at `indices`."""
        part = copy.copy(self)
        part.opened = _Some(self.opened, indices)
        part.labels = self.labels[indices]
        part.decoded = None if self.decoded is None else self.decoded[torch.from_numpy(indices)]
        return part

    def joined(self, other: ImageList) -> ImageList:
        """These images, and behind them those of another list."""
        both = copy.copy(self)
        both.opened = _Joined(self.opened, other.opened, len(self))
        both.labels, both.decoded = np.concatenate([self.labels, other.labels]), None
        return both

    def ready(self, progress: Progress, what: str) -> ImageList:
        """Decode all images now if they fit in memory, so that a broken one is found before work begins."""
        height, width = self.preprocess.size
        if len(self) and len(self) * 3 * height * width < MEMORY_BYTES:
            with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow lets go of Python's lock while it decodes
                images = pool.map(self._decode, range(len(self)))
                self.decoded = torch.stack(list(progress.track(images, what, len(self))))
        return self

    def _decode(self, i: int) -> Tensor:
        how = self.preprocess
        return _tensor(pixels(self.opened(i), how.size, how.interpolation, how.crop_pct, how.crop_mode))


def _tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class _Some:
    """Opens the images at `indices` of what `opened` opens. Plain data, so that worker processes can have it."""

    opened: Callable[[int], Image.Image]
    indices: Indices

    def __call__(self, i: int) -> Image.Image:
        return self.opened(int(self.indices[i]))


@dataclass(frozen=True)
class _Joined:
    """Opens the `count` images of `first`, and behind them those of `second`."""

    first: Callable[[int], Image.Image]
    second: Callable[[int], Image.Image]
    count: int

    def __call__(self, i: int) -> Image.Image:
        return self.first(i) if i < self.count else self.second(i - self.count)


@dataclass(frozen=True)
class Files:
    """Image files and the label of each, a place in the names of classes."""

    files: Sequence[Path]
    labels: Sequence[int]


@dataclass(frozen=True)
class _Opened:
    """Opens image files."""

    files: Sequence[Path]
    exif: bool

    def __call__(self, i: int) -> Image.Image:
        return read_rgb(self.files[i], self.exif)


def image_files(split: Files, preprocess: Preprocess) -> ImageList:
    """Image files as a list of images."""
    return ImageList(_Opened(split.files, preprocess.exif), split.labels, preprocess)


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
    splits: Mapping[str, ImageList],
    classes: Sequence[str],
    *,
    seed: int,
    val: str,
    limit: int,
    progress: Progress,
    test_share: float = 0.2,
    fix: str = "",
) -> Labelled:
    """The three splits of `splits` ("train", and "val" and "test" where there are any), decoded if they fit in memory.

    Without "test" a share of every class is the test split, always the same one. `val` as in `Data.load`. `limit` > 0
    keeps at most so many images of each split. Raises BadData, with `fix`, where a split has no image or a class too
    few to train with, and BadSetting for what `val` cannot be.
    """
    if len(classes) < 2:
        raise BadData(f"images of {len(classes)} class", "at least two classes", fix)
    train, drawn = splits["train"], "test" not in splits
    if drawn:
        train, test = (train.some(part) for part in split(train.labels, test_share, seed=0))
    else:
        test = splits["test"]
    own, share = splits.get("val"), _share(val, "val" in splits)
    if own is not None and share is not None:
        train, own = train.joined(own), None
    few = int(np.bincount(train.labels, minlength=len(classes)).argmin())
    least, expected = (2, "two, one to validate with") if share else (1, "at least one")
    if (train.labels == few).sum() < least:
        got = f"class {classes[few]!r} has fewer than {('one', 'two')[least - 1]} training images"
        raise BadData(got, expected, fix)
    nothing = train.some(np.empty(0, dtype=np.int64))
    if share:
        train, own = (train.some(part) for part in split(train.labels, share, seed))
    ready = []
    for name, images in (("training", train), ("validation", own or nothing), ("test", test)):
        if not len(images) and not (name == "validation" and share == 0):
            raise BadData(f"there are no {name} images", "at least one", fix)
        kept = images.some(thin(images.labels, limit, seed)) if limit and len(images) else images
        ready.append(kept.ready(progress, f"decoding {name} images"))
    return Labelled(ready[0], ready[1], ready[2], tuple(classes), drawn)


def _share(val: str, has_own: bool) -> float | None:
    """The share of the training images that validates; None where the set's own split does. Raises BadSetting."""
    share = validation_share(val)
    if val == "auto":
        return None if has_own else 0.2
    if val == "split" and not has_own:
        raise BadSetting("val split", "a data set that has one", "for example --val 0.2")
    return share
