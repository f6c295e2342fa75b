"""torchvision's classification sets by their class name: CIFAR10, CIFAR100, Flowers102, OxfordIIITPet, ..."""

from __future__ import annotations

import difflib
import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import platformdirs
import torchvision.datasets
from PIL import Image

from neuroprompt.contracts.learning import Data, Labelled, Preprocess
from neuroprompt.data._images import ImageList, labelled
from neuroprompt.data._torchvision_sets import SETS, UNSUPPORTED, VARIANTS, Options
from neuroprompt.errors import BadData, CannotWrite, UnknownName, Unsupported
from neuroprompt.images import as_rgb, readable
from neuroprompt.progress import SILENT, Progress


@dataclass(frozen=True)
class _Opened:
    """Opens the images of a set of torchvision."""

    images: Any
    name: str
    exif: bool

    def __call__(self, i: int) -> Image.Image:
        name = f"image {i} of {self.name}"
        with readable(name):
            image = self.images[i][0]
        return as_rgb(image, name, self.exif)


class Torchvision(Data):
    """A set of `torchvision.datasets`, downloaded once into `root` (the user's cache folder by default).

    Training, validation and test split are the set's own; `_torchvision_sets` has what each gives. Where it has no test
    split, a fifth of each class is, always the same one. Classes of which the set has no image are left out.
    """

    def __init__(
        self,
        dataset: Annotated[
            str, "class of torchvision.datasets, with its variant where there are several: EMNIST/letters"
        ],
        root: Annotated[str, "where it is, or is downloaded to; empty: the user's cache folder"] = "",
        limit: Annotated[int, "at most so many images of each split; 0: all"] = 0,
    ) -> None:
        self.dataset, _, self.variant = dataset.partition("/")
        self.root = Path(root) if root else platformdirs.user_cache_path("neuroprompt") / "torchvision"
        self.limit = limit

    def load(self, preprocess: Preprocess, seed: int, progress: Progress = SILENT, *, val: str = "auto") -> Labelled:
        """Download where needed, and resize; raises UnknownName, Unsupported, BadData, CannotWrite."""
        sets = self._sets(progress)
        labels = [_labels(images) for images in sets]
        names = _names(sets[0], sorted(set().union(*labels)))
        place = {label: i for i, label in enumerate(names)}

        def listed(images: Any, of_set: list[int]) -> ImageList:
            opened = _Opened(images, f"torchvision's {self.dataset} in {self.root}", preprocess.exif)
            return ImageList(opened, [place[label] for label in of_set], preprocess)

        keys = {1: ("train",), 2: ("train", "test"), 3: ("train", "val", "test")}[len(sets)]
        splits = {key: listed(images, of_set) for key, images, of_set in zip(keys, sets, labels, strict=True)}
        fix = "choose another data set"
        return labelled(splits, list(names.values()), seed=seed, val=val, limit=self.limit, progress=progress, fix=fix)

    def _sets(self, progress: Progress) -> list[Any]:
        """The set's splits in the order of SETS, from the disk or downloaded."""
        splits = self._splits()
        kind = getattr(torchvision.datasets, self.dataset)
        parameters = inspect.signature(kind.__init__).parameters
        where: Options = {"root": str(self.root)} if "root" in parameters else {}
        # EMNIST and QMNIST hand what they do not know on to MNIST; ImageNet's download is no more.
        downloads = "download" in parameters or self.dataset in ("EMNIST", "QMNIST")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot write {self.root} ({error.strerror})", "a writable folder") from error
        sets = []
        for options in splits:
            try:
                sets.append(kind(**where, **({"download": False} if downloads else {}), **options))
            except (
                ValueError,
                ImportError,
                EOFError,
                KeyError,
                IndexError,
            ) as error:  # its files are not as they should be
                raise self._missing(error) from error
            except (OSError, RuntimeError) as error:  # it is not there, or not whole
                if not downloads:
                    raise self._missing(error) from error
                progress.say(f"downloading {self.dataset} into {self.root}")
                try:
                    sets.append(kind(**where, download=True, **options))
                except (OSError, RuntimeError, ValueError, ImportError) as failed:
                    raise self._missing(failed) from failed
        return sets

    def _splits(self) -> list[Options]:
        """The arguments of every split, with those of the variant; raises UnknownName, Unsupported."""
        if self.dataset in UNSUPPORTED:
            got = f"torchvision's {self.dataset} cannot be trained on: {UNSUPPORTED[self.dataset]}"
            raise Unsupported(got, "a classification set", f"one of {', '.join(SETS)}")
        if self.dataset not in SETS:
            by_lower = {name.lower(): name for name in SETS}
            near = difflib.get_close_matches(self.dataset.lower(), by_lower, n=4, cutoff=0.5)
            names = [by_lower[name] for name in near] or list(SETS)
            raise UnknownName(f"torchvision has no data set {self.dataset!r}", f"one such as: {', '.join(names)}")
        variants = VARIANTS.get(self.dataset, {"": {}})
        variant = self.variant or next(iter(variants))
        if variant not in variants:
            got = f"torchvision's {self.dataset} has no variant {variant!r}"
            raise UnknownName(got, f"one of: {', '.join(variants)}" if "" not in variants else "its name alone")
        return [{**options, **variants[variant]} for options in SETS[self.dataset]]

    def _missing(self, error: Exception) -> BadData:
        got = f"torchvision's {self.dataset} cannot be had ({type(error).__name__}: {error})"
        fix = f"download it where there is a network and put it in {self.root}, or use --data folder:PATH"
        return BadData(got, "a set that is there or can be downloaded", fix)


def _labels(images: Any) -> list[int]:
    """The labels without decoding an image, where the set keeps them; its attribute has no one name."""
    for name in ("targets", "labels", "_labels", "y"):
        values = np.asarray(getattr(images, name, ()))
        if values.shape == (len(images),) and values.dtype.kind in "iu":
            return [int(value) for value in values]
    # Rows of an image and its label; iNaturalist's `index` has the label first.
    for name, place in (("_samples", 1), ("_flat_character_images", 1), ("index", 0)):
        rows = getattr(images, name, ())
        if isinstance(rows, list) and len(rows) == len(images):
            labels = [row[place] for row in rows]
            break
    else:
        labels = [images[i][1] for i in range(len(images))]
    if None in labels:
        got = f"torchvision's {type(images).__name__} has images without a label"
        raise BadData(got, "a label for every image", "get the files that hold the labels of the test images")
    return [int(label) for label in labels]


def _names(images: Any, labels: Sequence[int]) -> dict[int, str]:
    """The name of every label; the label itself where the set has no names, and beside a name that two have.

    In the order of the labels, but Omniglot's, which follow the file system: by their names.
    """
    known: Any = None
    for attribute in ("classes", "categories", "all_categories", "_characters"):
        known = known or getattr(images, attribute, None)
    names = {}
    for label in labels:
        name = known[label] if known and 0 <= label < len(known) else str(label)
        names[label] = name if isinstance(name, str) else ", ".join(name)
    count = Counter(names.values())
    names = {label: name if count[name] == 1 else f"{name} ({label})" for label, name in names.items()}
    return dict(sorted(names.items(), key=lambda row: row[1])) if hasattr(images, "_characters") else names
