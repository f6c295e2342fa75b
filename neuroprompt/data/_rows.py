"""Rows of an image's path, its label and its split, as lists and tables of images have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuroprompt.contracts.learning import Preprocess
from neuroprompt.data._images import Files, ImageList, image_files
from neuroprompt.errors import BadData
from neuroprompt.progress import Progress

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What a row may say of its split, and what that is."""


@dataclass(frozen=True)
class Row:
    """One image: where it is (relative to the file that says so), its class, and its split."""

    path: str
    label: str
    split: str = "train"


def read_text(file: Path) -> str:
    """The text of a file in UTF-8, with a mark of byte order or without; raises BadData."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{file} cannot be read ({error})", "a text file in UTF-8", "check --data") from error


def splits_of(
    rows: Sequence[Row], folder: Path, preprocess: Preprocess, progress: Progress
) -> tuple[dict[str, ImageList], list[str]]:
    """The images of every split that has some, and the classes: numbers in their order, else names in theirs.

    Without test images the validation images are the test split, as for folders; `progress` says so.
    """
    names = {row.label for row in rows}
    numbers = all(name.isascii() and name.isdecimal() for name in names)
    classes = sorted(names, key=int) if numbers else sorted(names)
    place = {name: label for label, name in enumerate(classes)}
    splits = {}
    for split in ("train", "val", "test"):
        of_split = [row for row in rows if row.split == split]
        if of_split:
            files = Files([folder / row.path for row in of_split], [place[row.label] for row in of_split])
            splits[split] = image_files(files, preprocess)
    if "train" not in splits:
        raise BadData(f"the images of {folder} have no training split", "rows of split train")
    if "val" in splits and "test" not in splits:
        splits["test"] = splits.pop("val")
        progress.say("the validation images are the test split, because there is no other")
    return splits, classes
