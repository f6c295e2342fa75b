"""Which image files paths stand for, and a batch of them read as a model's input."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.bundles.results import Unread
from neuroprompt.contracts.deployment import Floats
from neuroprompt.contracts.padding import margins
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.images import SUFFIXES, hidden, pixels, read_rgb

Pixels = NDArray[np.uint8]


class ImageFiles:
    """The image files that `paths` stand for, or those in the text file `listed`, a path a line; always in one order.

    A folder stands for the images in it, at any depth, by name. In a folder, files of no image's suffix, pipes, and all
    that has a name with a dot in front are passed over; a link to nowhere is kept, so that its loss is seen.

    They are looked up anew in each pass, so that any number of them takes no memory. Raises BadSetting for neither or
    both, BadData where a folder holds no images or cannot be read.
    """

    def __init__(self, paths: Sequence[Path | str], listed: Path | None = None) -> None:
        if listed is None and not paths:
            fix = "for example neuroprompt run out/onnx cat.jpg"
            raise BadSetting("no images", "at least one after the bundle", fix)
        if listed is not None and paths:
            raise BadSetting(f"images beside the list {listed}", "one of them")
        self.paths, self.listed = tuple(map(Path, paths)), listed

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self._names())

    def _names(self) -> Iterator[Path | str]:
        if self.listed is not None:
            yield from _lines(self.listed)
        for path in self.paths:
            if not path.is_dir():
                yield path
                continue
            inside = _inside(str(path), set())
            first = next(inside, None)
            if first is None:
                raise BadData(f"{path} holds no images", f"files that end in {', '.join(sorted(SUFFIXES))}")
            yield first
            yield from inside

    @cached_property
    def count(self) -> int:
        """How many there are, by one pass."""
        return sum(1 for _ in self._names())


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as stream:
            yield from filter(None, map(str.strip, stream))
    except OSError as error:
        raise BadData(f"{file} cannot be read ({error.strerror})", "a text file with a path a line") from error


def _inside(folder: str, entered: set[str]) -> Iterator[str]:
    """Names of image files below a folder; links to folders are followed, but none is entered twice, as in a circle."""
    real = os.path.realpath(folder)
    if real in entered:
        return
    entered.add(real)
    try:
        with os.scandir(folder) as entries:
            shown = sorted((e for e in entries if not hidden(e.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise BadData(f"{folder} cannot be read ({error.strerror})", "a folder that you may read") from error
    for entry in shown:  # an entry knows what it is without being asked for, but for a link
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:  # a link to itself, which reading it will say
            is_folder, is_file = False, True
        if is_folder:
            yield from _inside(entry.path, entered)
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and (is_file or not os.path.exists(entry)):
            yield entry.path


# --- reading ---------------------------------------------------------------------------------------------------------


def read_batch(files: Sequence[Path], preprocess: Mapping[str, Any]) -> tuple[Floats, list[Unread | None]]:
    """The images that can be read, as one input (B, 3, H, W); and for every file None, or why it could not be read."""
    images, errors = [], list[Unread | None]()
    for file in files:
        try:
            images.append(read_pixels(file, preprocess))
            errors.append(None)
        except BadData as error:
            errors.append(Unread(file, error.got))
    if not images:
        return np.empty((0, 3, *preprocess["size"]), np.float32), errors
    return normalised(np.stack(images), preprocess), errors


def read_image(file: Path, preprocess: Mapping[str, Any]) -> Floats:
    """One image as a model's input (3, H, W): see `Preprocess`; raises BadData."""
    image: Floats = normalised(read_pixels(file, preprocess)[None], preprocess)[0]
    return image


def read_pixels(file: Path, preprocess: Mapping[str, Any]) -> Pixels:
    """One image as RGB of the asked size, (H, W, 3); raises BadData."""
    # Bundles of earlier versions say nothing of EXIF and of crops, and had neither.
    crop = (preprocess.get("crop_pct"), preprocess.get("crop_mode", "center"))
    image = read_rgb(file, preprocess.get("exif", False))
    return pixels(image, tuple(preprocess["size"]), preprocess["interpolation"], *crop)


def normalised(images: Pixels, preprocess: Mapping[str, Any]) -> Floats:
    """(x / 255 - mean) / std of images (B, H, W, 3), as (B, 3, H, W); in the middle of zeros if there is a canvas."""
    values = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    values /= np.float32(255)
    mean, std = (np.asarray(preprocess[key], np.float32)[:, None, None] for key in ("mean", "std"))
    values -= mean
    values /= std
    return _padded(values, preprocess)


def on_canvas(images: Floats, preprocess: Mapping[str, Any]) -> Floats:
    """`normalised` of images (B, 3, H, W) in [0, 1]."""
    mean, std = (np.asarray(preprocess[key], np.float32)[:, None, None] for key in ("mean", "std"))
    return _padded((images.astype(np.float32) - mean) / std, preprocess)


def _padded(values: Floats, preprocess: Mapping[str, Any]) -> Floats:
    if not preprocess.get("canvas"):
        return values
    left, right, top, bottom = margins(preprocess["size"], preprocess["canvas"])
    return np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))


def image_files(paths: Sequence[Path | str]) -> list[Path]:
    """The files of `ImageFiles` as a list."""
    return list(ImageFiles(paths))
