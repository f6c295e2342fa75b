"""Image data sets of the Hugging Face hub: hf:NAME, hf:NAME@CONFIGURATION, hf:NAME#COLUMN for another label."""

from __future__ import annotations

from typing import Annotated

from neuroprompt.contracts.learning import Data, Labelled, Preprocess
from neuroprompt.data._hf import labelled_of
from neuroprompt.progress import SILENT, Progress


class HuggingFace(Data):
    """A set that `datasets.load_dataset` loads, downloaded once into its own cache; the extra `hf`.

    Splits are train, validation (or val, valid) and test; without test the validation images are the test split, and
    without both a fifth of each class is. The label is the column label, labels, fine_label, class or target, or the
    only one of class labels. Code of a data set is never run.
    """

    def __init__(
        self,
        dataset: Annotated[
            str, "name on the hub, with @CONFIGURATION and #COLUMN of the label where there are several"
        ],
        limit: Annotated[int, "at most so many images of each split; 0: all"] = 0,
    ) -> None:
        name, _, self.label = dataset.partition("#")
        self.dataset, _, self.configuration = name.partition("@")
        self.limit = limit

    def load(self, preprocess: Preprocess, seed: int, progress: Progress = SILENT, *, val: str = "auto") -> Labelled:
        """Download where needed, and resize; raises BadData, RuntimeMissing."""

        def loaded() -> object:
            import datasets

            return datasets.load_dataset(self.dataset, self.configuration or None)

        name = f"hf:{self.dataset}"
        return labelled_of(loaded, name, self.label, preprocess, progress, seed=seed, val=val, limit=self.limit)
