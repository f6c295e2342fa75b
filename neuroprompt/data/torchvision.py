"""torchvision's classification sets by their class name: CIFAR10, CIFAR100, Flowers102, OxfordIIITPet, ..."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import platformdirs
import torchvision.datasets

from neuroprompt.contracts.learning import Data, Labelled
from neuroprompt.data._images import ImageList, labelled, split
from neuroprompt.errors import BadData, CannotWrite, UnknownName


class Torchvision(Data):
    """A set of `torchvision.datasets`, downloaded once into `root` (the user's cache folder by default).

    The set's own test split is the test split; where it has none a fifth of each class is, always the same one. A
    fifth of the training images, drawn by the seed, validates.
    """

    def __init__(
        self,
        dataset: Annotated[str, "class of torchvision.datasets"],
        root: Annotated[str, "where it is or is downloaded to"] = "",
        limit: Annotated[int, "at most so many images of each split; 0: all"] = 0,
    ) -> None:
        self.dataset = dataset
        self.root = Path(root) if root else platformdirs.user_cache_path("neuroprompt") / "torchvision"
        self.limit = limit

    def load(self, size: tuple[int, int], interpolation: str, seed: int) -> Labelled:
        """Download where needed, and resize; raises UnknownName, BadData, CannotWrite."""
        sets = self._sets()
        lists = []
        for one in sets:
            lists.append(ImageList(lambda i, one=one: one[i][0], _labels(one), size, interpolation))  # type: ignore[misc]
        if len(lists) == 1:
            lists = [lists[0].some(part) for part in split(lists[0].labels, share=0.2, seed=0)]
        train, test = lists
        names = getattr(sets[0], "classes", None) or range(int(train.labels.max()) + 1)
        classes = [str(name) for name in names]
        return labelled(train, test, classes, seed=seed, limit=self.limit, fix="choose another data set")

    def _sets(self) -> list[Any]:
        """The set's training and test split, or all of it where it is not split."""
        known = torchvision.datasets.__all__
        if self.dataset not in known:
            near = difflib.get_close_matches(self.dataset, known, n=4, cutoff=0.3) or ["CIFAR10", "CIFAR100"]
            raise UnknownName(f"torchvision has no data set {self.dataset!r}", f"one such as: {', '.join(near)}")
        kind = getattr(torchvision.datasets, self.dataset)
        parameters = inspect.signature(kind.__init__).parameters
        options: dict[str, Any] = {"download": True} if "download" in parameters else {}
        options |= {"root": str(self.root)} if "root" in parameters else {}
        splits: list[dict[str, Any]] = [{}]
        if "train" in parameters:
            splits = [{"train": True}, {"train": False}]
        elif "split" in parameters:
            splits = [{"split": parameters["split"].default}, {"split": "test"}]
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot write {self.root} ({error.strerror})", "a writable folder") from error
        try:
            return [kind(**options, **one) for one in splits]
        except (OSError, RuntimeError, ValueError, TypeError, ImportError) as error:
            got = f"torchvision's {self.dataset} cannot be had ({type(error).__name__}: {error})"
            fix = f"download it where there is a network and put it in {self.root}, or use --data folder:PATH"
            raise BadData(got, "a classification set that is there or can be downloaded", fix) from error


def _labels(images: Any) -> Sequence[int]:
    """The labels without decoding an image, where the set keeps them; its attribute has no one name."""
    for name in ("targets", "labels", "_labels", "y"):
        values = np.asarray(getattr(images, name, ()))
        if values.shape == (len(images),) and values.dtype.kind in "iu":
            return [int(value) for value in values]
    try:
        return [int(images[i][1]) for i in range(len(images))]
    except (TypeError, ValueError) as error:
        raise BadData(f"torchvision's {type(images).__name__} has no class labels", "a classification set") from error
