"""Image files as training and deployment both read them: which files count, and how any kind becomes 8-bit RGB.

Needs Pillow and numpy alone. What people see is what is read: EXIF rotation is applied, transparency lies on white, of
an animation the first frame counts, and integers of 16 bits and floats in [0, 1] are scaled to 8 bits by their range.
"""

from __future__ import annotations

import math
import os
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from neuroprompt.errors import BadData, BadSetting
from neuroprompt.jpegs import read_plain

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2"),
    }
)
MOST_PIXELS = 50_000_000
"""More are not computed to cut out a part of them."""
FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}

_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What EXIF's orientation asks for."""
_OF_SYSTEMS = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
"""Folders of archives, storage boxes and drives; those of the first two hold thumbnails and halves of images."""
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError),
    *(OverflowError, Image.DecompressionBombError),
)
"""What Pillow's readers raise for files that are damaged, or no images."""

# Pillow warns from 89 million pixels on, and rejects twice as many; below that an image is only large.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def read_rgb(file: Path, exif: bool = True) -> Image.Image:
    """The image in `file` as 8-bit RGB, turned as its EXIF says unless `exif` is false; raises BadData.

    TIFF has a tag of its own for that, which always counts.
    """
    if (plain := read_plain(file)) is not None:
        return plain
    with readable(str(file)), Image.open(file) as image:
        wide = image.mode == "RGB" and any("16B" in str(tile.args) for tile in image.tile)
        image.load()
        if wide and isinstance(clear := image.info.get("transparency"), tuple):  # Pillow keeps it in 16 bits
            image.info["transparency"] = tuple(value >> 8 for value in clear)
    return as_rgb(image, str(file), exif)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Raises BadData, with `name`, where Pillow fails within."""
    try:
        yield
    except _BROKEN as error:
        got = f"{name} cannot be read as an image ({error or type(error).__name__})"
        raise BadData(got, "a whole image", "replace or remove it") from error


def as_rgb(image: Image.Image, name: str = "an image", exif: bool = True) -> Image.Image:
    """A Pillow image of any mode as 8-bit RGB; raises BadData, with `name`, where its range is not known."""
    turn = _TRANSPOSED.get(_orientation(image)) if exif else None
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F" or image.mode.startswith("I"):
        image = _scaled(image, name)
    elif tags and 2 in np.atleast_1d(tags.get(_FORMAT, 1)):
        raise BadData(f"{name} holds integers with a sign", "numbers from 0", "scale it, and save it with 8 bits")
    elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        shown = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    image = image if image.mode == "RGB" else image.convert("RGB")
    return image if turn is None else image.transpose(turn)


def pixels(
    image: Image.Image,
    size: tuple[int, int],
    interpolation: str,
    crop_pct: float | None = None,
    crop_mode: str = "center",
) -> NDArray[np.uint8]:
    """An RGB image at (height, width) `size`, as uint8 (H, W, 3); raises BadSetting.

    Without `crop_pct` it is stretched to the size. With it, as timm evaluates: resized to the size over crop_pct, its
    shorter side ("center") or both ("squash"), and the middle is cut out.
    """
    if interpolation not in FILTERS:
        raise BadSetting(f"interpolation {interpolation!r}", f"one of {', '.join(FILTERS)}")
    if crop_mode not in ("center", "squash"):
        raise BadSetting(f"crop mode {crop_mode!r}", "center or squash", "train with --resize plain")
    height, width = size
    if crop_pct is None:
        tall, wide = height, width
    else:
        tall, wide = math.floor(height / crop_pct), math.floor(width / crop_pct)
        if crop_mode == "center":
            tall, wide = _covering(image, tall, wide)
    top, left = round((tall - height) / 2), round((wide - width) / 2)
    if tall * wide > MOST_PIXELS:  # a strip would become a giant: only what is cut out is resized
        x, y = image.width / wide, image.height / tall
        box = (left * x, top * y, (left + width) * x, (top + height) * y)
        return np.array(image.resize((width, height), FILTERS[interpolation], box))
    if image.size != (wide, tall):
        image = image.resize((wide, tall), FILTERS[interpolation])
    if image.size != (width, height):
        image = image.crop((left, top, left + width, top + height))
    return np.array(image)


def cut(
    image: Image.Image, size: tuple[int, int], interpolation: str, box: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    """The part `box` (left, top, right, bottom) of an RGB image at (height, width) `size`, as uint8 (H, W, 3)."""
    if interpolation not in FILTERS:
        raise BadSetting(f"interpolation {interpolation!r}", f"one of {', '.join(FILTERS)}")
    return np.array(image.resize((size[1], size[0]), FILTERS[interpolation], box))


def _covering(image: Image.Image, tall: int, wide: int) -> tuple[int, int]:
    """(height, width) of the image, its sides in proportion, where it just covers `tall` and `wide`; as timm rounds."""
    if tall != wide:
        ratio = min(image.height / tall, image.width / wide)
        return round(image.height / ratio), round(image.width / ratio)
    if image.width <= image.height:
        return int(tall * image.height / image.width), tall
    return tall, int(tall * image.width / image.height)


def files_in(folder: Path) -> list[Path]:
    """All files in a folder and the folders in it, sorted; raises BadData where one cannot be read.

    Hidden names (`hidden`) and what is no file (a pipe, a socket) are passed over; a link to nowhere is not: its
    loss would pass unseen. Links to folders are followed, but no folder is entered twice, so that links in a circle
    end.
    """

    def unreadable(error: OSError) -> None:
        raise BadData(f"{error.filename} cannot be read ({error.strerror})", "a folder that you may read") from error

    files: list[Path] = []
    entered: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        if os.path.realpath(here) in entered:
            folders.clear()
            continue
        entered.add(os.path.realpath(here))
        folders[:] = sorted(name for name in folders if not hidden(name))
        files += [Path(here, name) for name in names if not hidden(name)]
    return sorted(file for file in files if file.is_file() or not file.exists())


def hidden(name: str) -> bool:
    """Whether a file or folder is none that people see: its name begins with a dot, or a system put it there."""
    return name.startswith(".") or name in _OF_SYSTEMS


def images_of(files: Iterable[Path]) -> list[Path]:
    """Those of `files` that end as images do."""
    return [file for file in files if file.suffix.lower() in SUFFIXES]


def _orientation(image: Image.Image) -> int:
    try:
        orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _BROKEN:  # damaged EXIF says nothing
        return 1
    return orientation


def _scaled(image: Image.Image, name: str) -> Image.Image:
    """Integers of more than 8 bits, or floats, as 8-bit grey by their range; raises BadData where it is not known."""
    values: NDArray[Any] = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):  # not a number, too
            got = f"{name} holds floats from {low:g} to {high:g}"
            raise BadData(got, "floats from 0 to 1", "scale them, or save the image with 8 bits")
        grey = np.rint(values * 255)
    elif image.mode == "I" and image.format != "PPM":
        got = f"{name} holds integers of 32 bits, or with a sign, of which nothing says what is white"
        raise BadData(got, "8 or 16 bits", "scale it, and save it with 8 bits")
    else:
        largest = 2 ** int(tags.get(_BITS, (16,))[0]) - 1
        grey = (values.astype(np.int64) * 255 + largest // 2) // largest
    if tags.get(_INTERPRETATION) == 0:  # white is 0, which Pillow sees to for 8 bits alone
        grey = 255 - grey
    if "transparency" in image.info:
        grey = np.where(values == image.info["transparency"], 255, grey)
    return Image.fromarray(grey.astype(np.uint8))


_BITS, _INTERPRETATION, _FORMAT = 258, 262, 339
"""Tags of TIFF."""
