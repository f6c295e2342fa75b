"""Data sets of Hugging Face `datasets`, made here and saved to disk; nothing is downloaded."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from neuroprompt.contracts.learning import Preprocess
from neuroprompt.data._hf import labelled_of
from neuroprompt.errors import BadData
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.commands import data_path
from neuroprompt.training.dataset import absolute, load_data

datasets = pytest.importorskip("datasets")
HOW = Preprocess((8, 8))


def pictured(values: list[int]) -> list[Image.Image]:
    return [Image.fromarray(np.full((8, 8, 3), value, dtype=np.uint8)) for value in values]


def rows(labels: list[Any], kind: Any = None, column: str = "label", **more: Any) -> Any:
    """Plain images, image i grey i, with these labels."""
    features = {"image": datasets.Image(), column: kind or datasets.ClassLabel(names=["cat", "dog", "owl"])}
    features |= {key: datasets.Value("string") for key in more}
    data = {"image": pictured(list(range(len(labels)))), column: labels, **more}
    return datasets.Dataset.from_dict(data, features=datasets.Features(features))


def saved(folder: Path, data: Any) -> str:
    data.save_to_disk(str(folder))
    return f"hf-disk:{folder}"


def greys(images: Any) -> list[int]:
    assert all(torch.equal(images[i][0], torch.full((3, 8, 8), int(images[i][0][0, 0, 0]))) for i in range(len(images)))
    return [int(images[i][0][0, 0, 0]) for i in range(len(images))]


def test_every_split_has_its_images_labels_and_names(tmp_path: Path) -> None:
    sets = {"train": rows([0, 1, 2, 0, 1, 2]), "validation": rows([2, 1]), "test": rows([1, 0, 2])}
    labelled = load_data(saved(tmp_path / "set", datasets.DatasetDict(sets)), HOW, 0)
    assert labelled.classes == ("cat", "dog", "owl")
    assert greys(labelled.train) == [0, 1, 2, 3, 4, 5]
    assert [labelled.val[i][1] for i in range(2)] == [2, 1]
    assert [labelled.test[i][1] for i in range(3)] == [1, 0, 2]
    assert not labelled.drawn


def test_one_set_alone_is_split_as_folders_are(tmp_path: Path) -> None:
    labelled = load_data(saved(tmp_path / "set", rows([0, 1, 2] * 10)), HOW, 0, val="none")
    assert labelled.drawn
    assert len(labelled.train) == 24  # type: ignore[arg-type]
    assert len(labelled.test) == 6  # type: ignore[arg-type]


class Said(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_validation_is_the_test_split_where_there_is_no_other(tmp_path: Path) -> None:
    said = Said()
    sets = {"train": rows([0, 1, 2] * 5), "validation": rows([0, 1, 2]), "unsupervised": rows([0, 0])}
    labelled = load_data(saved(tmp_path / "set", datasets.DatasetDict(sets)), HOW, 0, progress=said)
    assert len(labelled.test) == 3  # type: ignore[arg-type]
    assert any("validation images are the test split" in line for line in said.lines)
    assert any("unsupervised" in line for line in said.lines)


def test_labels_of_text_and_numbers_and_another_column(tmp_path: Path) -> None:
    texts = rows(["x", "b", "x", "b"] * 3, datasets.Value("string"), "target")
    assert load_data(saved(tmp_path / "texts", texts), HOW, 0).classes == ("b", "x")
    numbers = rows([10, 9, 10, 9] * 3, datasets.Value("int64"))
    assert load_data(saved(tmp_path / "numbers", numbers), HOW, 0).classes == ("9", "10")
    two = rows([0, 1, 2] * 4, breed=["p", "q", "p"] * 4)
    name = saved(tmp_path / "two", two)
    assert load_data(name, HOW, 0).classes == ("cat", "dog", "owl")
    assert load_data(f"{name}#breed", HOW, 0).classes == ("p", "q")
    assert data_path(absolute(f"{name}#breed")) == f"{tmp_path / 'two'}#breed"


def test_sets_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no folder"):
        load_data(f"hf-disk:{tmp_path / 'none'}", HOW, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="cannot be loaded"):
        load_data(f"hf-disk:{tmp_path / 'empty'}", HOW, 0)
    texts = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    with pytest.raises(BadData, match="one of images"):
        load_data(saved(tmp_path / "texts", texts), HOW, 0)
    with pytest.raises(BadData, match="no column 'breed'"):
        load_data(saved(tmp_path / "set", rows([0, 1, 2] * 4)) + "#breed", HOW, 0)
    with pytest.raises(BadData, match="called train"):
        load_data(saved(tmp_path / "test", datasets.DatasetDict({"test": rows([0, 1, 2])})), HOW, 0)
    nameless = rows([0, 1] * 4, datasets.Value("int64"), "breed")
    with pytest.raises(BadData, match="#COLUMN"):
        load_data(saved(tmp_path / "nameless", nameless), HOW, 0)
    with pytest.raises(BadData, match="without a label"):
        load_data(saved(tmp_path / "holes", rows([0, 1, None] * 4)), HOW, 0)


def test_an_image_that_is_none_is_named(tmp_path: Path) -> None:
    data = {"image": [{"bytes": b"no image", "path": None}] * 12, "label": [0, 1, 2] * 4}
    features = {"image": datasets.Image(decode=False), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    bytes_alone = datasets.Dataset.from_dict(data, features=datasets.Features(features))
    broken = bytes_alone.cast_column("image", datasets.Image())
    with pytest.raises(BadData, match=r"image \d+ of .* cannot be read as an image"):
        load_data(saved(tmp_path / "broken", broken), HOW, 0)


def local(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `load_dataset` takes for the hub: the current folder; no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    monkeypatch.chdir(folder)


def test_named_splits_of_a_set_that_load_dataset_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hf:` on a folder of one parquet file a split: the same call as for a set of the hub."""
    for split, labels in {"train": [0, 1, 2] * 2, "validation": [2, 1], "test": [1, 0, 2]}.items():
        rows(labels).to_parquet(str(tmp_path / "pets" / f"{split}.parquet"))
    local(tmp_path, monkeypatch)
    labelled = load_data("hf:pets", HOW, 0)
    assert labelled.classes == ("cat", "dog", "owl")
    assert greys(labelled.train) == [0, 1, 2, 3, 4, 5]
    assert [labelled.val[i][1] for i in range(2)] == [2, 1]
    assert [labelled.test[i][1] for i in range(3)] == [1, 0, 2]
    joined = load_data("hf:pets", HOW, 0, val="none")
    assert (len(joined.train), len(joined.val), len(joined.test)) == (8, 0, 3)  # type: ignore[arg-type]


def test_a_folder_of_images_that_load_dataset_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split, count in {"train": 4, "test": 2}.items():
        for label in ("cat", "dog"):
            folder = tmp_path / "photos" / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (8, 8), (40 * i, 40 * i, 40 * i)).save(folder / f"{i}.png")
    local(tmp_path, monkeypatch)
    labelled = load_data("hf:photos", HOW, 0, val="none")
    assert labelled.classes == ("cat", "dog")
    assert sorted(greys(labelled.train)) == [0, 0, 40, 40, 80, 80, 120, 120]
    assert len(labelled.test) == 4  # type: ignore[arg-type]


def test_the_hub_is_read_by_name_configuration_and_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`load_dataset` itself on a local folder that it takes for a set of the hub: no network."""
    rows([0, 1, 2] * 4).to_parquet(str(tmp_path / "mine" / "train.parquet"))
    local(tmp_path, monkeypatch)
    labelled = load_data("hf:mine@default#label", HOW, 0)
    assert labelled.classes == ("cat", "dog", "owl")


def test_the_hubs_tries_are_not_printed() -> None:
    warnings = logging.getLogger("huggingface_hub.utils._http")
    seen = []

    def load() -> None:
        seen.append(warnings.isEnabledFor(logging.WARNING))
        raise ConnectionError("no network")

    before = warnings.isEnabledFor(logging.WARNING)
    with pytest.raises(BadData, match="no network"):
        labelled_of(load, "hf:a/b", "", HOW, SILENT, seed=0, val="auto", limit=10)
    assert seen == [False]
    assert warnings.isEnabledFor(logging.WARNING) == before
