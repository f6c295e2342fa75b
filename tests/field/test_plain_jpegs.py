"""Small, plain JPEG files skip Pillow's reading of the header: pixels and errors are those of Pillow all the same."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neuroprompt.errors import BadData
from neuroprompt.images import read_rgb
from neuroprompt.jpegs import MOST_BYTES, MOST_PIXELS, plain_size, read_plain


def photo(size: tuple[int, int] = (40, 30), mode: str = "RGB", seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def both(folder: Path, data: bytes) -> tuple[bytes | str, bytes | str]:
    """Pixels, or the error's words, by `read_rgb`, and by Pillow's own reading: that of a file of another ending."""
    results: list[bytes | str] = []
    for name in ("x.jpg", "x.any"):
        (folder / name).write_bytes(data)
        try:
            image = read_rgb(folder / name)
            results.append(repr(image.size).encode() + image.tobytes())
        except BadData as error:
            results.append(str(error).replace(name, "x"))
    return results[0], results[1]


PLAIN: dict[str, dict[str, Any]] = {
    "baseline": {},
    "quality 1": {"quality": 1},
    "quality 100, no subsampling": {"quality": 100, "subsampling": 0},
    "subsampling 4:2:2": {"subsampling": 1},
    "progressive": {"progressive": True},
    "own tables": {"optimize": True},
    "restart markers": {"restart_marker_blocks": 2},
    "a comment": {"comment": b"shot on a phone"},
    "dots per inch": {"dpi": (300, 300)},
}


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("size", [(64, 64), (1, 1), (7, 33)])
def test_a_plain_file_has_the_pixels_that_pillow_reads(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    data = jpeg(photo(size), **PLAIN[kind])
    assert plain_size(data) == size
    ours, pillows = both(tmp_path, data)
    assert ours == pillows
    assert isinstance(ours, bytes)
    assert read_plain(tmp_path / "x.jpg") is not None


def _turned() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return jpeg(photo(), exif=exif)


def _stereo() -> bytes:
    stream = io.BytesIO()
    photo().save(stream, "MPO", save_all=True, append_images=[photo(seed=1)])
    return stream.getvalue()


LEFT_TO_PILLOW = {
    "grey": jpeg(photo(mode="L")),
    "CMYK": jpeg(photo(mode="CMYK")),
    "turned by its EXIF": _turned(),
    "with a profile": jpeg(photo(), icc_profile=b"profile"),
    "with XMP": jpeg(photo(), xmp=b'<x tiff:Orientation="6"/>'),
    "red, green and blue, as Adobe's programs say": jpeg(photo(), keep_rgb=True),
    "two images of a stereo camera": _stereo(),
    "large": jpeg(photo((1000, 900)), quality=100) + bytes(MOST_BYTES),
    "many pixels": jpeg(Image.new("RGB", (2048, 1024))),
    "a text": b"no image",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", LEFT_TO_PILLOW)
def test_anything_else_is_left_to_pillow(tmp_path: Path, kind: str) -> None:
    ours, pillows = both(tmp_path, LEFT_TO_PILLOW[kind])
    assert read_plain(tmp_path / "x.jpg") is None
    assert ours == pillows
    assert MOST_PIXELS < 2048 * 1024


def test_no_pipe_is_opened_and_no_other_ending(tmp_path: Path) -> None:
    """Opening a pipe would wait for whoever writes, or take what Pillow has to read."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "plain.png").write_bytes(jpeg(photo()))
    names = ("pipe.jpg", "folder.jpg", "plain.png", "gone.jpg", "\0.jpg")
    assert [read_plain(tmp_path / name) for name in names] == [None] * 5


@settings(max_examples=400)
@given(
    kind=st.sampled_from(["baseline", "progressive", "restart markers", "own tables"]),
    place=st.floats(0, 1),
    new=st.binary(max_size=6),
    cut=st.integers(0, 40),
)
def test_a_damaged_file_gives_what_pillow_gives(
    kind: str, place: float, new: bytes, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes replaced, put in or lost, in the header and in the pixels: the same pixels, or the same words."""
    data = jpeg(photo(seed=1), **PLAIN[kind])
    at = int(place * len(data))
    ours, pillows = both(tmp_path_factory.getbasetemp(), data[:at] + new + data[at + cut :])
    assert ours == pillows


def test_every_byte_of_a_header_changed(tmp_path: Path) -> None:
    """Each byte before the pixels to 0, 255 and one more: what Pillow rejects or reads otherwise is seen."""
    data = jpeg(photo((9, 9)))
    plain = 0
    for at in range(data.index(b"\xff\xda") + 14):
        for value in (0, 255, (data[at] + 1) % 256):
            damaged = data[:at] + bytes([value]) + data[at + 1 :]
            ours, pillows = both(tmp_path, damaged)
            assert ours == pillows, (at, value)
            plain += plain_size(damaged) is not None
    assert plain > 500  # of 1,900 or so: not all are left to Pillow
