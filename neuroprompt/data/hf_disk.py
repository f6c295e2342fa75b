"""Image data sets that Hugging Face `datasets` saved to disk: hf-disk:FOLDER."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from neuroprompt.contracts.learning import Data, Labelled, Preprocess
from neuroprompt.data._hf import labelled_of
from neuroprompt.errors import BadData
from neuroprompt.progress import SILENT, Progress


class HuggingFaceDisk(Data):
    """What `save_to_disk` of a Dataset or a DatasetDict wrote; the extra `hf`. Splits and labels as for `hf`.

    The name of the folder may end in #COLUMN, the column of the label.
    """

    def __init__(
        self,
        path: Annotated[str, "the folder, with #COLUMN of the label where there are several"],
        limit: Annotated[int, "at most so many images of each split; 0: all"] = 0,
    ) -> None:
        folder, _, self.label = path.partition("#")
        self.path, self.limit = Path(folder), limit

    def load(self, preprocess: Preprocess, seed: int, progress: Progress = SILENT, *, val: str = "auto") -> Labelled:
        """Every image, resized as `preprocess` says; raises BadData, RuntimeMissing."""
        if not self.path.is_dir():
            raise BadData(f"there is no folder {self.path}", "what save_to_disk wrote", "check --data")

        def loaded() -> object:
            import datasets

            return datasets.load_from_disk(str(self.path))

        name = f"hf-disk:{self.path}"
        return labelled_of(loaded, name, self.label, preprocess, progress, seed=seed, val=val, limit=self.limit)
