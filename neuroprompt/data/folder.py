"""Images in folders named after their classes: PATH/CLASS/*, or PATH/train/CLASS/* with val and test beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from neuroprompt.contracts.learning import Data, Labelled, Preprocess
from neuroprompt.data._folders import LAYOUT, class_folders, split_files, split_folders
from neuroprompt.data._images import ImageList, labelled, split
from neuroprompt.errors import BadData
from neuroprompt.images import read_rgb
from neuroprompt.progress import SILENT, Progress


class Folder(Data):
    """A folder of images, read as torchvision's ImageFolder reads one: a folder a class, with any folders inside.

    PATH/train stands beside PATH/val (or valid, validation), PATH/test or both. Without a `test` folder the validation
    images are the test split, as is usual with ImageNet; without both, a fifth of each class is, always the same one.
    Without a folder of its own, a fifth of the training images, drawn by the seed, validates. Tiny ImageNet is read as
    it is published.

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
        splits = split_folders(self.path, progress)
        train_folder = splits.get("train", self.path)
        classes = list(class_folders(train_folder))
        if len(classes) == 1:
            got = f"{train_folder} holds images of one class only, {classes[0]!r}"
            raise BadData(got, "at least two classes", "add a folder of images of another class")

        def images(folder: Path) -> ImageList:
            of_split = split_files(folder, classes, progress)
            return ImageList(lambda i: read_rgb(of_split.files[i], preprocess.exif), of_split.labels, preprocess)

        train = images(train_folder)
        drawn = "test" not in splits
        if drawn:
            train, test = (train.some(part) for part in split(train.labels, share=0.2, seed=0))
        else:
            test = images(splits["test"])
        return labelled(
            train,
            test,
            classes,
            val=images(splits["val"]) if "val" in splits else None,
            seed=seed,
            limit=self.limit,
            progress=progress,
            drawn=drawn,
            fix=f"add images to {train_folder}",
        )
