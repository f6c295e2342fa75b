"""Images listed in text files, a path and a label a line: list:FILE, or list:FOLDER of train.txt, val.txt, test.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from neuroprompt.contracts.learning import Data, Labelled, Preprocess
from neuroprompt.data._images import labelled
from neuroprompt.data._rows import SPLITS, Row, read_text, splits_of
from neuroprompt.errors import BadData
from neuroprompt.progress import SILENT, Progress

VTAB = {"train800": "train", "val200": "val", "test": "test"}
"""What the lists of VTAB-1k are called where they are handed on; both together are its 1,000 training images."""


class List(Data):
    """Lines of a path, white space and a label, as ImageNet's lists have them; the last word of a line is the label.

    Paths are relative to the file's folder. Of a folder, train.txt, val.txt (or valid.txt, validation.txt) and test.txt
    are the splits, or VTAB-1k's train800.txt, val200.txt and test.txt. Without test.txt a fifth of each class is the
    test split, always the same one. Labels that are all numbers stand in the order of the numbers.
    """

    def __init__(
        self,
        path: Annotated[str, "the file, or the folder of one for each split"],
        limit: Annotated[int, "at most so many images of each split; 0: all"] = 0,
    ) -> None:
        self.path, self.limit = Path(path), limit

    def load(self, preprocess: Preprocess, seed: int, progress: Progress = SILENT, *, val: str = "auto") -> Labelled:
        """Every image of the lists; raises BadData that names the file, its line and the fix."""
        if self.path.is_dir():
            folder = self.path
            names = SPLITS if (folder / "train.txt").is_file() else VTAB
            files = {folder / f"{name}.txt": split for name, split in names.items()}
            lists = {file: split for file, split in files.items() if file.is_file()}
            if "train" not in lists.values():
                raise BadData(f"{folder} has no train.txt", "train.txt, with val.txt and test.txt where there are")
        else:
            folder, lists = self.path.parent, {self.path: "train"}
        rows = [row for file, split in lists.items() for row in _rows(file, split)]
        splits, classes = splits_of(rows, folder, preprocess, progress)
        fix = f"add lines to {self.path}"
        return labelled(splits, classes, seed=seed, val=val, limit=self.limit, progress=progress, fix=fix)


def _rows(file: Path, split: str) -> list[Row]:
    rows = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        words = line.rsplit(maxsplit=1)
        if len(words) == 1:
            raise BadData(f"{file}, line {number} has no label: {line}", "a path, white space and a label")
        if words:
            rows.append(Row(words[0], words[1], split))
    return rows
