"""Whether a file is whole by its format."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable

import numpy as np


def broken(suffix: str, data: bytes) -> str:
    """What is wrong with a file of that suffix; an empty text where it is whole."""
    try:
        FORMATS.get(suffix, _something)(data)
    except (ValueError, zipfile.BadZipFile) as error:
        return str(error)
    return ""


def _something(data: bytes) -> None:
    if not data:
        raise ValueError("empty")


def _archive(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if bad := archive.testzip():
            raise ValueError(bad)


def _tensors(data: bytes) -> None:
    length = int(np.frombuffer(data[:8], "<u8")[0]) if len(data) >= 8 else -1
    if length < 0 or len(data) < 8 + length:
        raise ValueError("truncated header")
    header = json.loads(data[8 : 8 + length])
    end = max((of["data_offsets"][1] for name, of in header.items() if name != "__metadata__"), default=0)
    if len(data) != 8 + length + end:
        raise ValueError("truncated tensors")


def _text_to(end: bytes) -> Callable[[bytes], None]:
    def whole(data: bytes) -> None:
        if not data.rstrip().endswith(end):
            raise ValueError(f"does not end with {end.decode()}")

    return whole


FORMATS: dict[str, Callable[[bytes], object]] = {
    ".html": _text_to(b"</html>"),
    ".json": json.loads,
    ".npz": _archive,
    ".safetensors": _tensors,
    ".svg": _text_to(b"</svg>"),
}
