"""Small, plain JPEG files decoded in one call of Pillow's decoder, without Pillow's reading of the header before it.

Of a file of 64 x 64 pixels Pillow spends more time on the header, in Python, than on the pixels. A file whose header has
nothing in it but what every JPEG file needs can do without: the same decoder gets the same bytes. All others, and those
that are damaged, are left to Pillow.
"""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG

from PIL import Image

MOST_BYTES = 65536
"""What Pillow, too, hands to the decoder in one piece; the header of a larger file takes no time beside its pixels."""
MOST_PIXELS = 2**20

_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".JPG", ".JPEG")
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive, with Huffman's codes."""
_TABLES, _SCAN, _QUANTISATION, _JFIF = 0xC4, 0xDA, 0xDB, 0xE0
_OTHERS = frozenset({_TABLES, 0xDD, 0xFE})
"""Codes, restart interval, comment: of no concern before the decoder."""


def read_plain(file: Path) -> Image.Image | None:
    """The RGB image in `file`; None where it is no small, plain, whole JPEG file, and Pillow has to see what it is."""
    name = os.fspath(file)
    if not name.endswith(_SUFFIXES):
        return None
    try:
        about = os.stat(name)
        if not S_ISREG(about.st_mode) or about.st_size > MOST_BYTES:
            return None
        place = os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            data = os.read(place, MOST_BYTES + 1)
        finally:
            os.close(place)
    except (OSError, ValueError):  # Pillow says why
        return None
    size = plain_size(data)
    if size is None:
        return None
    try:
        return Image.frombytes("RGB", size, data, "jpeg", "RGB", "")
    except (ValueError, OSError):
        return None


def plain_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a colour JPEG file without EXIF, profile or anything else that says how to read the pixels."""
    if len(data) > MOST_BYTES or not data.startswith(b"\xff\xd8"):
        return None
    place, size = 2, None
    while len(head := data[place : place + 4]) == 4 and head[0] == 0xFF:
        kind, length = head[1], head[2] << 8 | head[3]
        place, start = place + 2 + length, place + 4
        if length < 2 or place > len(data):
            return None
        if kind in _OTHERS:
            continue
        if kind == _SCAN:
            return size
        if kind == _QUANTISATION:
            if length == 2 or (length - 2) % 65 or any(data[i] > 15 for i in range(start, place, 65)):
                return None
        elif kind in _FRAMES:
            # 8 bits, three components
            if size is not None or length != 17 or data[start] != 8 or data[start + 5] != 3:
                return None
            high, wide = data[start + 1] << 8 | data[start + 2], data[start + 3] << 8 | data[start + 4]
            if not 0 < high * wide <= MOST_PIXELS:
                return None
            size = wide, high
        elif kind != _JFIF or length < 16 or data[start : start + 5] != b"JFIF\0":
            return None
    return None
