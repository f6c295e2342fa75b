"""Labels of many images in one file: every image one row, in order, in every format; the command and its Python."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_bounds import U32, near
from hypothesis import given
from hypothesis import strategies as st
from label_images import CLASSES, PREPROCESS, classify, images, infer, means_bundle, rows_of
from PIL import Image

import neuroprompt as npt
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.classify import workers_for
from neuroprompt.bundles.image_files import ImageFiles, read_batch, read_image
from neuroprompt.bundles.labels import write_labels
from neuroprompt.bundles.results import Labels, Predictions, Unread
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.progress import SILENT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return images(tmp_path / "images", 30, broken=(3, 17))


# --- every image one row --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (4, 3), (100, 2)])
def test_every_image_has_its_row_in_order(folder: Path, tmp_path: Path, batch: int, workers: int) -> None:
    done = write_labels(classify(batch, workers), ImageFiles([folder]), tmp_path / "l.jsonl", {}, SILENT)
    assert (done.count, done.failed, done.out) == (30, 2, tmp_path / "l.jsonl")
    assert done.images_per_second > 0
    rows = rows_of(tmp_path / "l.jsonl")
    assert [row["file"] for row in rows] == [str(folder / f"{i:05}.png") for i in range(30)]
    assert [i for i, row in enumerate(rows) if "error" in row] == [3, 17]
    for row in rows:
        if "error" not in row:
            logits, _ = infer(read_image(Path(row["file"]), PREPROCESS)[None])
            assert row["label"] == CLASSES[int(logits.argmax())]
            # A softmax in float32, of five classes at most.
            assert sum(share for _, share in row["top5"]) == near(1, 64, U32)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "l.jsonl"], "nothing is left beside it"


def test_formats_hold_the_same_rows(folder: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for ending in ("jsonl", "csv", "parquet"):
        write_labels(classify(), ImageFiles([folder]), tmp_path / f"l.{ending}", {}, SILENT)
    rows = rows_of(tmp_path / "l.jsonl")
    with (tmp_path / "l.csv").open(newline="", encoding="utf-8") as stream:
        of_csv = list(csv.DictReader(stream))
    of_parquet = parquet.read_table(tmp_path / "l.parquet").to_pylist()
    assert len(rows) == len(of_csv) == len(of_parquet) == 30
    for row, line, record in zip(rows, of_csv, of_parquet, strict=True):
        assert row["file"] == line["file"] == record["file"]
        assert row.get("label", "") == line["label"] == (record["label"] or "")
        assert row.get("error", "") == line["error"] == (record["error"] or "")
        assert str(row.get("probability", "")) == line["probability"]
        assert [[top["label"], top["probability"]] for top in record["top5"]] == row.get("top5", [])


def test_names_that_are_hard_to_write_down(tmp_path: Path) -> None:
    names = ['a "b", c.png', "line\nbreak.png", "ü.png", os.fsdecode(b"no-text-\xff.png"), "=1+1.png"]
    for name in names:
        Image.new("RGB", (3, 2)).save(tmp_path / name)
    out = tmp_path / "l.csv"
    files = sorted(tmp_path / name for name in names)
    write_labels(classify(), ImageFiles(files), out, {}, SILENT)
    with out.open(newline="", encoding="utf-8") as stream:
        shown = [Path(row["file"]).name for row in csv.DictReader(stream)]
    assert shown == [file.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for file in files]


def test_a_list_of_files(folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "files.txt"
    names = [folder / "00009.png", folder / "gone.png", folder / "00002.png", folder / "00009.png"]
    listed.write_text("\n".join(map(str, names)) + "\n\n")
    done = write_labels(classify(), ImageFiles([], listed), tmp_path / "l.jsonl", {}, SILENT)
    rows = rows_of(tmp_path / "l.jsonl")
    assert [row["file"] for row in rows] == list(map(str, names))
    assert (done.count, done.failed) == (4, 1)
    assert "error" in rows[1]
    with pytest.raises(BadSetting, match="one of them"):
        ImageFiles([folder], listed)
    with pytest.raises(BadSetting, match="no images"):
        ImageFiles([])
    with pytest.raises(BadData, match=r"gone\.txt cannot be read"):
        list(ImageFiles([], tmp_path / "gone.txt"))


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "again").symlink_to(folder)
    for name in ("circle", "circle.png"):
        (folder / name).symlink_to(name)
    (folder / "x.png").mkdir()
    assert len(files := list(ImageFiles([folder]))) == 31
    assert [isinstance(error, Unread) for error in read_batch(files[-1:], PREPROCESS)[1]] == [True]


def test_a_batch_is_read_as_its_images_are(folder: Path) -> None:
    """Which batch an image is in changes nothing of it; every value is (x / 255 - mean) / std in single precision."""
    files = sorted(folder.iterdir())[:8]
    batch, errors = read_batch(files, PREPROCESS | {"canvas": [6, 5]})
    assert [isinstance(error, Unread) for error in errors] == [i == 3 for i in range(8)]
    there = [file for file, error in zip(files, errors, strict=True) if error is None]
    for image, file in zip(batch, there, strict=True):
        pixels = np.asarray(Image.open(file), np.float32)
        mean, std = (np.asarray(PREPROCESS[key], np.float32) for key in ("mean", "std"))
        expected = np.zeros((3, 6, 5), np.float32)
        expected[:, 2:4, 1:4] = ((pixels / 255 - mean) / std).transpose(2, 0, 1)
        assert np.array_equal(image, expected)


@given(st.integers(0, 64), st.integers(1, 500))
def test_threads_are_shared_by_the_batches_that_there_are(threads: int, batches: int) -> None:
    workers, inside = workers_for(threads, batches)
    assert 1 <= workers <= batches
    assert inside >= 1
    if threads:
        assert workers * inside <= threads
        assert workers == min(threads, batches)


# --- what stops a run ------------------------------------------------------------------------------------------------


def test_an_ending_that_no_format_has(folder: Path, tmp_path: Path) -> None:
    for name in ("l.xlsx", "l"):
        with pytest.raises(BadSetting, match=r"\.csv, \.jsonl, \.parquet"):
            write_labels(classify(), ImageFiles([folder]), tmp_path / name, {}, SILENT)
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


# --- the bundle and the command --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return means_bundle(tmp_path_factory.mktemp("bundle") / "onnx", PREPROCESS, CLASSES)


def test_in_python_a_file_or_the_rows(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    rows = npt.run(bundle, [folder], threads=2, batch_size=7, graph_level="basic", provider="CPU")
    assert isinstance(rows, Predictions)
    labels = npt.run(bundle, [folder], out=tmp_path / "l.jsonl", batch_size=7)
    assert isinstance(labels, Labels)
    assert [json.loads(json.dumps(row.json())) for row in rows.images] == rows_of(tmp_path / "l.jsonl")
    with pytest.raises(BadSetting, match=r"provider .abacus.; expected one of .*cpu"):
        npt.run(bundle, [folder], provider="abacus")
    with pytest.raises(BadSetting, match="batch size 0"):
        npt.run(bundle, [folder], batch_size=0)
    with pytest.raises(BadSetting, match="level 'most'"):
        npt.run(bundle, [folder], graph_level="most")


def neuroprompt(*words: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "neuroprompt", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_the_command_says_how_many_failed(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    child = neuroprompt("run", bundle.folder, folder, "--out", tmp_path / "l.csv", "--json")
    said, noted = child.communicate(timeout=100)
    assert child.returncode == 1
    values = json.loads(said)
    assert set(values) == {"images", "failed", "images_per_second", "out", "how"}
    assert (values["images"], values["failed"], values["out"]) == (30, 2, str(tmp_path / "l.csv"))
    assert noted.splitlines()[-1] == "2 of 30 images could not be read"


def test_an_unknown_target_is_named(bundle: Bundle, folder: Path) -> None:
    with pytest.raises(BadSetting, match="a Lava bundle"):
        npt.run(bundle, [folder], target="loihi")
