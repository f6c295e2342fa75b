"""Small, plain JPEG files decoded in one call of Pillow's decoder, without Pillow's reading of the header before it.

Of a file of 64 x 64 pixels Pillow spends as much time on the header, in Python, as on the pixels. A file whose header
has nothing in it but what every JPEG file needs can do without: the same decoder gets the same bytes. All others, and
those that are damaged, are left to Pillow.
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
        body = data[place + 4 : place + 2 + length]
        if len(body) != length - 2:
            break
        if kind == _SCAN:
            return size
        if kind in _FRAMES and size is None:
            size = _frame(body)
            if size is None:
                break
        elif not _is_usual(kind, body):
            break
        place += 2 + length
    return None


def _frame(body: bytes) -> tuple[int, int] | None:
    """(width, height) of a frame of three components in 8 bits."""
    if len(body) != 15 or body[0] != 8 or body[5] != 3:
        return None
    high, wide = body[1] << 8 | body[2], body[3] << 8 | body[4]
    return (wide, high) if 0 < high * wide <= MOST_PIXELS else None


def _is_usual(kind: int, body: bytes) -> bool:
    """Whether a segment says nothing of how the pixels are to be read, and has the form that Pillow accepts."""
    if kind == _QUANTISATION:  # tables in 8 bits
        return len(body) > 0 and len(body) % 65 == 0 and all(which < 16 for which in body[::65])
    if kind == _JFIF:
        return len(body) >= 14 and body.startswith(b"JFIF\0")
    return kind in _OTHERS
