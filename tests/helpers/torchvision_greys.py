"""Grey images of made-up sets, one level a class, as files, trees of folders, and MNIST's format."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image

GREY = (0, 120, 255)
COUNT = {"train": 6, "val": 4, "test": 3}
"""Images of each class in a split."""


def save(file: Path, label: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (GREY[label],) * 3).save(file)


def tree(root: Path, classes: list[str], *splits: tuple[str, int], suffix: str = "jpg") -> list[str]:
    """SPLIT/CLASS/i.suffix below `root`."""
    for split, count in splits:
        for label, name in enumerate(classes):
            for i in range(count):
                save(root / split / name / f"{i}.{suffix}", label)
    return classes


def idx(file: Path, values: np.ndarray) -> None:
    """A file of MNIST's format: 8 for uint8, 12 for int32."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kind = {"uint8": 8, "int32": 12}[str(values.dtype)]
    big = values.astype(values.dtype.newbyteorder(">"))
    file.write_bytes(struct.pack(f">{values.ndim + 1}i", kind * 256 + values.ndim, *values.shape) + big.tobytes())


def greys(labels: np.ndarray, side: int, first: int = 0) -> np.ndarray:
    """(n, side, side) of the greys of labels that begin at `first`."""
    return np.array(GREY, np.uint8)[labels - first, None, None].repeat(side, 1).repeat(side, 2)


def labels_of(split: str, classes: int = 2, first: int = 0) -> np.ndarray:
    return np.arange(first, first + classes, dtype=np.uint8).repeat(COUNT[split])
