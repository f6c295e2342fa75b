"""Images in folders named after their classes: PATH/CLASS/*, or PATH/train/CLASS/* with val and test beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from neuroprompt.contracts.learning import Data, Labelled, Preprocess
from neuroprompt.data._folders import class_folders, labelled_files, split_folders, visible_folders
from neuroprompt.data._images import ImageList, labelled, split
from neuroprompt.errors import BadData
from neuroprompt.images import read_rgb
from neuroprompt.progress import SILENT, Progress

LAYOUT = "PATH/train/CLASS/*.jpg with PATH/val and PATH/test like it, or PATH/CLASS/*.jpg"


class Folder(Data):
    """A folder of images, read as torchvision's ImageFolder reads one: a folder a class, with any folders inside.

    PATH/train stands beside PATH/val (or valid, validation), PATH/test or both. Without a `test` folder the validation
    images are the test split, as is usual with ImageNet; without both, a fifth of each class is, always the same one.
    Without a folder of its own, a fifth of the training images, drawn by the seed, validates.

    Names that begin with a dot and files of no image's suffix are passed over. A class without images is an error.
    """

    def __init__(
        self,
        path: Annotated[str, "the folder"],
        limit: Annotated[int, "at most so many images of each split; 0: all"] = 0,
    ) -> None:
        self.path, self.limit = Path(path), limit

    def load(self, preprocess: Preprocess, seed: int, progress: Progress = SILENT) -> Labelled:
        """Every image, resized as `preprocess` says; raises BadData that names the folder or file and the fix."""
        if not self.path.is_dir():
            raise BadData(f"there is no folder {self.path}", LAYOUT, "check --data")
        splits = split_folders(self.path)
        train_folder = splits.get("train", self.path)
        folders = class_folders(train_folder, LAYOUT)
        classes = list(folders)
        fix = f"add images to {train_folder}"
        if len(classes) == 1:
            got = f"{train_folder} holds images of one class only, {classes[0]!r}"
            raise BadData(got, "at least two classes", "add a folder of images of another class")

        def images(of: dict[str, Path]) -> ImageList:
            found = labelled_files(of, classes, progress)
            return ImageList(lambda i: read_rgb(found.files[i], preprocess.exif), found.labels, preprocess)

        train, others = images(folders), {}
        for name in splits.keys() - {"train"}:
            others[name] = images(self._same_classes(splits[name], classes, train_folder))
        if set(splits) <= {"train"}:
            train, test = (train.some(part) for part in split(train.labels, share=0.2, seed=0))
            return labelled(train, test, classes, seed=seed, limit=self.limit, progress=progress, drawn=True, fix=fix)
        for beside in visible_folders(self.path):
            if beside not in splits.values():
                progress.say(f"passed over {beside}, which is no split")
        if "test" not in others:
            progress.say(f"{splits['validation']} is the test split, because there is no folder called test")
            others["test"] = others.pop("validation")
        return labelled(
            train,
            others["test"],
            classes,
            val=others.get("validation"),
            seed=seed,
            limit=self.limit,
            progress=progress,
            fix=fix,
        )

    def _same_classes(self, folder: Path, classes: list[str], train_folder: Path) -> dict[str, Path]:
        """The classes' folders in `folder`; raises BadData for one without training images."""
        folders = class_folders(folder, LAYOUT)
        extra = sorted(folders.keys() - set(classes))
        if extra:
            got = f"{folder} has a class {extra[0]!r} that {train_folder} has not"
            raise BadData(got, "the same classes in both", "add training images, or remove it")
        return folders
