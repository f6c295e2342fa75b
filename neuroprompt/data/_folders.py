"""Which folders of a data set are its splits and classes, and which files in them are images."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from neuroprompt.data._images import Files
from neuroprompt.errors import BadData
from neuroprompt.images import SUFFIXES, files_in, hidden, images_of
from neuroprompt.progress import Progress

LAYOUT = "PATH/train/CLASS/*.jpg with PATH/val and PATH/test like it, or PATH/CLASS/*.jpg"

_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
"""The names that a split's folder may have."""
_ANNOTATIONS = "val_annotations.txt"
"""Tiny ImageNet's file of labels, in a folder of images without folders of classes."""
_PLAIN = frozenset({".txt", ".md", ".json", ".csv", ".xml", ".html", ".db", ".ini", ".log", ".mat", ""})
"""Suffixes of files that nobody takes for images."""


def split_folders(folder: Path, progress: Progress) -> dict[str, Path]:
    """The folders of "train", "val" and "test" that there are; empty where `folder` holds the classes themselves.

    Without test images that have labels the validation images are the test split, as is usual with ImageNet; `progress`
    says so, and what else stands beside them. Raises BadData where a split has two folders.
    """
    there = {path.name.lower(): path for path in _visible(folder)}
    splits = {}
    for split, names in _SPLITS.items():
        of_split = [there[name] for name in names if name in there]
        if len(of_split) > 1:
            got = f"{folder} has the folders {' and '.join(path.name for path in of_split)}"
            raise BadData(got, f"one folder of {split} images", "put them together, or move one away")
        if of_split:
            splits[split] = of_split[0]
    if "train" not in splits or (len(splits) == 1 and len(there) > 1):
        return {}
    if "test" in splits and "val" in splits and (splits["val"] / _ANNOTATIONS).is_file():
        progress.say(f"passed over {splits.pop('test')}, whose images have no labels (Tiny ImageNet)")
    else:
        for path in there.values():
            if path not in splits.values():
                progress.say(f"passed over {path}, which is no split")
    if "test" not in splits and "val" in splits:
        splits["test"] = splits.pop("val")
        progress.say(f"{splits['test']} is the test split, because no other test images have labels")
    return splits


def class_folders(folder: Path) -> dict[str, Path]:
    """The folder of every class, by its name in NFC; raises BadData where there is none, or two have one name."""
    classes: dict[str, Path] = {}
    for path in _visible(folder):
        name = unicodedata.normalize("NFC", path.name)
        if any(0xD800 <= ord(c) < 0xE000 for c in name):  # Python's stand-ins for bytes that are no text
            raise BadData(f"a folder {str(path)!r}, whose name is not UTF-8", "a name that is text", "rename it")
        if name in classes:
            got = f"{folder} has two folders that are called {name!r}, spelt in two ways of Unicode"
            raise BadData(got, "one folder a class", "put them together")
        classes[name] = path
    if not classes:
        raise BadData(f"{folder} holds no images in folders of classes", LAYOUT, "put images there")
    return dict(sorted(classes.items()))


def split_files(folder: Path, classes: Sequence[str], progress: Progress) -> Files:
    """The images of a split with their labels; raises BadData for a class that is none of `classes`."""
    if (folder / _ANNOTATIONS).is_file():
        return _annotated(folder, classes)
    folders = class_folders(folder)
    _known(folder, folders, classes)
    loose = [file for file in images_of(folder.iterdir()) if file.is_file() and not hidden(file.name)]
    if loose:
        progress.say(f"{folder}: passed over {_files(len(loose))} outside its folders of classes")
    return _labelled(folders, classes, progress)


def _labelled(folders: Mapping[str, Path], classes: Sequence[str], progress: Progress) -> Files:
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
        others = Counter(file.suffix.lower() for file in inside if file.suffix.lower() not in SUFFIXES)
        if not images:
            held = f"{_files(len(inside))}: {', '.join(sorted(others))}" if inside else _empty(folders[name])
            got = f"class {name!r} has no images that can be read in {folders[name]} ({held})"
            raise BadData(got, f"files that end in {', '.join(sorted(SUFFIXES))}", "convert them, or move it away")
        for suffix, count in sorted(others.items()):
            if suffix not in _PLAIN:
                progress.say(f"class {name}: passed over {_files(count)} ending in {suffix}")
        files += images
        labels += [label] * len(images)
    return Files(files, labels)


def _annotated(folder: Path, classes: Sequence[str]) -> Files:
    """Tiny ImageNet's validation images: lines of a file name, a tab and a class, in the order of the file."""
    place = {name: label for label, name in enumerate(classes)}
    file = folder / _ANNOTATIONS
    try:
        rows = [line.split("\t")[:2] for line in file.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise BadData(f"{file} cannot be read ({error})", "lines of a file name, a tab and a class") from error
    if any(len(row) < 2 for row in rows):
        raise BadData(f"{file} has a line without a class", "a file name, a tab and a class")
    _known(file, [name for _, name in rows], classes)
    return Files([folder / "images" / name for name, _ in rows], [place[name] for _, name in rows])


def _known(where: Path, names: Sequence[str] | Mapping[str, Path], classes: Sequence[str]) -> None:
    extra = sorted(set(names) - set(classes))
    if extra:
        got = f"{where} has a class {extra[0]!r} of which there are no training images"
        raise BadData(got, "the classes of the training images", "add training images, or remove it")


def _visible(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted; hidden names are passed over."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not hidden(path.name))
    except OSError as error:
        raise BadData(f"{folder} cannot be read ({error.strerror})", "a folder that you may read") from error


def _empty(folder: Path) -> str:
    """A folder without a file that is seen, in words."""
    return "only hidden files" if any(hidden(path.name) for path in folder.rglob("*")) else "it is empty"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
