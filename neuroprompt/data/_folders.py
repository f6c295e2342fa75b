"""Which folders of a data set are its splits and classes, and which files in them are images."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neuroprompt.errors import BadData
from neuroprompt.images import SUFFIXES, files_in, images_of
from neuroprompt.progress import Progress

SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
"""The names that a split's folder may have."""

_PLAIN = frozenset({".txt", ".md", ".json", ".csv", ".xml", ".html", ".db", ".ini", ".log", ".mat", ""})
"""Suffixes of files that nobody takes for images."""


@dataclass(frozen=True)
class Files:
    """Image files and the label of each, a place in the names of classes."""

    files: list[Path]
    labels: list[int]


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders of the splits, by name: "train" at least; empty where `folder` holds the classes."""
    there = {p.name.lower(): p for p in visible_folders(folder)}
    splits = {}
    for split, names in SPLITS.items():
        of_split = [there[name] for name in names if name in there]
        if len(of_split) > 1:
            got = f"{folder} has the folders {' and '.join(p.name for p in of_split)}"
            raise BadData(got, f"one for the {split} images", "put them together, or move one away")
        if of_split:
            splits[split] = of_split[0]
    return splits if "train" in splits and (len(splits) > 1 or len(there) == 1) else {}


def visible_folders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted; names that begin with a dot are passed over."""
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise BadData(f"{folder} cannot be read ({error.strerror})", "a folder that you may read") from error


def class_folders(folder: Path, layout: str) -> dict[str, Path]:
    """The folder of every class, by its name in NFC; raises BadData where there is none, or two have one name."""
    classes: dict[str, Path] = {}
    for path in visible_folders(folder):
        name = unicodedata.normalize("NFC", path.name)
        if any(0xD800 <= ord(c) < 0xE000 for c in name):  # Python's stand-ins for bytes that are no text
            raise BadData(f"a folder {str(path)!r}, whose name is not UTF-8", "a name that is text", "rename it")
        if name in classes:
            got = f"{folder} has two folders that are called {name!r}, spelt in two ways of Unicode"
            raise BadData(got, "one folder a class", "put them together")
        classes[name] = path
    if not classes:
        raise BadData(f"{folder} holds no images in folders of classes", layout, "put images there")
    return dict(sorted(classes.items()))


def labelled_files(folders: dict[str, Path], classes: Iterable[str], progress: Progress) -> Files:
    """The images of each class, also those in folders within its own; raises BadData for a class that has none.

    A class without a folder has no images. Files of other suffixes are passed over, and `progress` says how many.
    """
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if name not in folders:
            continue
        inside = files_in(folders[name])
        images = images_of(inside)
        others = Counter(file.suffix.lower() for file in inside if file.suffix.lower() not in SUFFIXES | _PLAIN)
        if not images:
            held = f"{_files(len(inside))}: {', '.join(sorted(others)) or 'no images'}" if inside else "it is empty"
            got = f"class {name!r} has no images that can be read in {folders[name]} ({held})"
            raise BadData(got, f"files that end in {', '.join(sorted(SUFFIXES))}", "convert them, or move it away")
        for suffix, count in sorted(others.items()):
            progress.say(f"class {name}: passed over {_files(count)} ending in {suffix}")
        files += images
        labels += [label] * len(images)
    return Files(files, labels)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
