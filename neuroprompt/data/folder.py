"""Images in folders named after their classes: PATH/CLASS/*, or PATH/train/CLASS/* with val and test beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from neuroprompt.contracts.learning import Data, Labelled, Preprocess
from neuroprompt.data._folders import LAYOUT, class_folders, split_files, split_folders
from neuroprompt.data._images import image_files, labelled
from neuroprompt.errors import BadData
from neuroprompt.progress import SILENT, Progress


class Folder(Data):
    """A folder of images, read as torchvision's ImageFolder reads one: a folder a class, with any folders inside.

    PATH/train stands beside PATH/val (or valid, validation), PATH/test or both. Without a `test` folder the validation
    images are the test split, as is usual with ImageNet; without both, a fifth of each class is, always the same one.
    Tiny ImageNet is read as it is published.

    Names that begin with a dot and files of no image's suffix are passed over. A class without images is an error.
    """

    def __init__(
        self,
        path: Annotated[str, "the folder"],
        limit: Annotated[int, "at most so many images of each split; 0: all"] = 0,
    ) -> None:
        self.path, self.limit = Path(path), limit

    def load(self, preprocess: Preprocess, seed: int, progress: Progress = SILENT, *, val: str = "auto") -> Labelled:
        """Every image, resized as `preprocess` says; raises BadData that names the folder or file and the fix."""
        if not self.path.is_dir():
            raise BadData(f"there is no folder {self.path}", LAYOUT, "check --data")
        folders = {"train": self.path} | split_folders(self.path, progress)
        classes = list(class_folders(folders["train"]))
        if len(classes) == 1:
            got = f"{folders['train']} holds images of one class only, {classes[0]!r}"
            raise BadData(got, "at least two classes", "add a folder of images of another class")
        splits = {
            name: image_files(split_files(folder, classes, progress), preprocess) for name, folder in folders.items()
        }
        fix = f"add images to {folders['train']}"
        return labelled(splits, classes, seed=seed, val=val, limit=self.limit, progress=progress, fix=fix)
