"""Images in folders named after their classes: PATH/train|test/CLASS/* or PATH/CLASS/*."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from PIL import Image, UnidentifiedImageError

from neuroprompt.contracts.learning import Data, Labelled
from neuroprompt.data._images import ImageList, labelled, split
from neuroprompt.errors import BadData

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
LAYOUT = "PATH/train/CLASS/*.jpg with PATH/test/CLASS/*.jpg, or PATH/CLASS/*.jpg"


class Folder(Data):
    """A folder of images. Files of no image's suffix and names that begin with a dot are passed over.

    Without a `test` folder a fifth of each class is the test split, always the same one. A fifth of the training
    images, drawn by the seed, validates.
    """

    def __init__(
        self,
        path: Annotated[str, "the folder"],
        limit: Annotated[int, "at most so many images of each split; 0: all"] = 0,
    ) -> None:
        self.path, self.limit = Path(path), limit

    def load(self, size: tuple[int, int], interpolation: str, seed: int) -> Labelled:
        """Every image at `size`; raises BadData that names the folder or file and the fix."""
        if not self.path.is_dir():
            raise BadData(f"there is no folder {self.path}", LAYOUT, "check --data")
        two = (self.path / "train").is_dir() and (self.path / "test").is_dir()
        train_folder = self.path / "train" if two else self.path
        classes = _classes(train_folder)
        files, labels = _files(train_folder, classes)
        if two:
            extra = sorted(set(_classes(self.path / "test")) - set(classes))
            if extra:
                got = f"{self.path / 'test'} has a class {extra[0]!r} that {train_folder} has not"
                raise BadData(got, "the same classes in both", "add training images, or remove it")
            train = ImageList(lambda i: _open(files[i]), labels, size, interpolation)
            test_files, test_labels = _files(self.path / "test", classes)
            test = ImageList(lambda i: _open(test_files[i]), test_labels, size, interpolation)
        else:
            whole = ImageList(lambda i: _open(files[i]), labels, size, interpolation)
            train, test = (whole.some(part) for part in split(whole.labels, share=0.2, seed=0))
        fix = f"add images to {train_folder}"
        return labelled(train, test, classes, seed=seed, limit=self.limit, drawn=not two, fix=fix)


def _classes(folder: Path) -> list[str]:
    found = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    classes = [name for name in found if next(_images(folder / name), None) is not None]
    if not classes:
        raise BadData(f"{folder} holds no images in folders of classes", LAYOUT, "put images there")
    if len(classes) == 1:
        got = f"{folder} holds images of one class only, {classes[0]!r}"
        raise BadData(got, "at least two classes", "add a folder of images of another class")
    return classes


def _files(folder: Path, classes: list[str]) -> tuple[list[Path], list[int]]:
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(_images(folder / name)) if (folder / name).is_dir() else []
        files += found
        labels += [label] * len(found)
    return files, labels


def _images(folder: Path) -> Iterator[Path]:
    return (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())


def _open(file: Path) -> Image.Image:
    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadData(
            f"{file} cannot be read as an image ({error})", "a whole image", "replace or remove it"
        ) from error
