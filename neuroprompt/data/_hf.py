"""What data from Hugging Face `datasets` share: which splits and columns are ours, and images out of their cells."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from neuroprompt.contracts.learning import Labelled, Preprocess
from neuroprompt.data._images import ImageList, labelled
from neuroprompt.errors import BadData
from neuroprompt.extras import need
from neuroprompt.images import as_rgb, readable
from neuroprompt.progress import Progress

SPLITS = {"train": ("train",), "val": ("validation", "val", "valid"), "test": ("test",)}
"""Our splits, and the names that they have there."""
LABELS = ("label", "labels", "fine_label", "class", "target")
"""Columns that are taken for the label where there are several, the first that there is."""


def labelled_of(
    load: Callable[[], Any],
    name: str,
    label: str,
    preprocess: Preprocess,
    progress: Progress,
    *,
    seed: int,
    val: str,
    limit: int,
) -> Labelled:
    """The splits of the `datasets` set that `load` gives, called `name`; `label` names the column, "" to find it.

    Raises BadData, RuntimeMissing.
    """
    need("hf")
    import datasets

    before = datasets.is_progress_bar_enabled()
    hub = logging.getLogger("huggingface_hub")  # it warns of each try, and our one line says it all
    level = hub.level
    datasets.disable_progress_bars()
    hub.setLevel(logging.ERROR)
    try:
        loaded = load()
    except Exception as error:  # whatever its readers and its hub raise
        got = f"{name} cannot be loaded ({type(error).__name__}: {error})"
        raise BadData(got, "a data set of images", "check --data, and the network") from error
    finally:
        hub.setLevel(level)
        if before:
            datasets.enable_progress_bars()
    sets = loaded if isinstance(loaded, Mapping) else {"train": loaded}
    ours = {split: next((sets[n] for n in names if n in sets), None) for split, names in SPLITS.items()}
    there = {split: rows for split, rows in ours.items() if rows is not None}
    known = {n for names in SPLITS.values() for n in names}
    for other in sets:
        if other not in known:
            progress.say(f"{name}: passed over the split {other}")
    if "train" not in there:
        raise BadData(f"{name} has the splits {', '.join(map(str, sets))}", "one that is called train")
    if "test" not in there and "val" in there:
        there["test"] = there.pop("val")
        progress.say(f"{name}: the validation images are the test split, because there is no other")
    image, column = _columns(there["train"], name, label)
    raw = {split: rows.with_format(None)[column] for split, rows in there.items()}
    classes, place = _classes(there["train"].features[column], raw, name)
    splits = {
        split: ImageList(
            _Opened(rows.cast_column(image, datasets.Image(decode=False)), image, f"{name}, {split}", preprocess.exif),
            [place[value] for value in raw[split]],
            preprocess,
        )
        for split, rows in there.items()
    }
    fix = "choose another data set"
    return labelled(splits, classes, seed=seed, val=val, limit=limit, progress=progress, fix=fix)


@dataclass(frozen=True)
class _Opened:
    """Opens the images in a column, whose cells hold a file's bytes or its path."""

    rows: Any
    column: str
    name: str
    exif: bool

    def __call__(self, i: int) -> Image.Image:
        cell, name = self.rows[i][self.column], f"image {i} of {self.name}"
        if cell is None:
            raise BadData(f"{name} is missing", "an image in every row", "remove the row")
        with readable(name), Image.open(cell["path"] if cell["bytes"] is None else io.BytesIO(cell["bytes"])) as image:
            image.load()
        return as_rgb(image, name, self.exif)


def _columns(rows: Any, name: str, label: str) -> tuple[str, str]:
    """The columns of the image and of the label; raises BadData where they cannot be known."""
    import datasets

    images = [key for key, kind in rows.features.items() if isinstance(kind, datasets.Image)]
    if not images:
        raise BadData(f"{name} has the columns {', '.join(rows.column_names)}", "one of images")
    if label:
        if label not in rows.features:
            raise BadData(f"{name} has no column {label!r}", f"one of {', '.join(rows.column_names)}")
        return images[0], label
    named = [key for key in LABELS if key in rows.features]
    marked = [key for key, kind in rows.features.items() if isinstance(kind, datasets.ClassLabel)]
    if not named and len(marked) != 1:
        got = f"{name} has no column of labels that is known, but {', '.join(rows.column_names)}"
        raise BadData(got, f"one of {', '.join(LABELS)}", f"name it: {name}#COLUMN")
    return images[0], (named or marked)[0]


def _classes(kind: Any, raw: Mapping[str, Sequence[Any]], name: str) -> tuple[list[str], dict[Any, int]]:
    """The names of the classes, and the place of each label among them; raises BadData for labels that are none."""
    values = {value for of_split in raw.values() for value in of_split}
    names = list(getattr(kind, "names", ()))
    if names:
        used = sorted(values - {None})
        if None in values or (used and not 0 <= used[0] <= used[-1] < len(names)):
            raise BadData(f"{name} has images without a label", "a label for every image", "leave those out")
        return [names[value] for value in used], {value: i for i, value in enumerate(used)}
    if not all(isinstance(value, int | str) for value in values):
        raise BadData(f"{name} has labels of other types than numbers and text", "classes", f"name it: {name}#COLUMN")
    ordered = sorted(values, key=lambda value: (isinstance(value, str), value))
    return [str(value) for value in ordered], {value: i for i, value in enumerate(ordered)}
