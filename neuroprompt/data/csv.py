"""Images listed in a table: csv:FILE with the columns path and label, and split where there are splits."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from neuroprompt.contracts.learning import Data, Labelled, Preprocess
from neuroprompt.data._images import labelled
from neuroprompt.data._rows import SPLITS, Row, read_text, splits_of
from neuroprompt.errors import BadData
from neuroprompt.progress import SILENT, Progress

COLUMNS = {
    "path": ("path", "file", "filename", "image", "filepath", "image_path"),
    "label": ("label", "class", "target", "category"),
    "split": ("split", "set", "subset"),
}
"""The columns, and other names that they may have in the first row."""


class Csv(Data):
    """A CSV file (TSV where it ends in .tsv) whose first row names its columns: path, label and perhaps split.

    Paths are relative to the file. A split is train, val (or valid, validation) or test; without the column a fifth of
    each class is the test split, always the same one. Labels that are all numbers stand in the order of the numbers.
    """

    def __init__(
        self,
        path: Annotated[str, "the file"],
        limit: Annotated[int, "at most so many images of each split; 0: all"] = 0,
    ) -> None:
        self.path, self.limit = Path(path), limit

    def load(self, preprocess: Preprocess, seed: int, progress: Progress = SILENT, *, val: str = "auto") -> Labelled:
        """Every image of the table; raises BadData that names the file, its line and the fix."""
        splits, classes = splits_of(self._rows(), self.path.parent, preprocess, progress)
        fix = f"add rows to {self.path}"
        return labelled(splits, classes, seed=seed, val=val, limit=self.limit, progress=progress, fix=fix)

    def _rows(self) -> list[Row]:
        text = read_text(self.path)
        table = csv.DictReader(
            io.StringIO(text, newline=""), delimiter="\t" if self.path.suffix.lower() == ".tsv" else ","
        )
        columns = self._columns(table.fieldnames or ())
        rows = []
        for line in table:
            cells = {column: (line[name] or "").strip() for column, name in columns.items()}
            where = f"{self.path}, line {table.line_num}"
            if not cells["path"] or not cells["label"]:
                raise BadData(f"{where} lacks a path or a label", "both in every row", "complete or remove the row")
            split = cells.get("split", "train").lower()
            if split not in SPLITS:
                raise BadData(f"{where} has the split {split!r}", f"one of {', '.join(SPLITS)}")
            rows.append(Row(cells["path"], cells["label"], SPLITS[split]))
        if not rows:
            raise BadData(f"{self.path} has no rows", "a row for every image")
        return rows

    def _columns(self, head: Sequence[str]) -> dict[str, str]:
        """The names that the table has for our columns."""
        by_name = {name.strip().lower(): name for name in head}
        columns = {}
        for column, names in COLUMNS.items():
            name = next((by_name[name] for name in names if name in by_name), None)
            if name is not None:
                columns[column] = name
            elif column != "split":
                got = f"{self.path} has no column {column!r}, but {', '.join(head) or 'none'}"
                raise BadData(got, "the first row path,label or path,label,split", f"name it {' or '.join(names)}")
        return columns
