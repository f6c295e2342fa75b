"""Labels of many images in one file: every image one row, in order, whatever stops the run; flat memory."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_bounds import U32, near
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import neuroprompt as npt
from neuroprompt.bundles.bundle import Bundle, write_bundle
from neuroprompt.bundles.classify import Classify, workers_for
from neuroprompt.bundles.image_files import ImageFiles, read_batch, read_image
from neuroprompt.bundles.labels import part_of, write_labels
from neuroprompt.bundles.results import Labels, Predictions, Unread
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import BadCheckpoint, BadData, BadSetting, CannotWrite
from neuroprompt.progress import SILENT

PREPROCESS = {"size": [2, 3], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
CLASSES = ("dark", "grey", "light")


def infer(inputs: Floats) -> tuple[Floats, None]:
    """Logits that depend on the image."""
    mean = inputs.mean(axis=(1, 2, 3))
    return np.stack([-mean, 0 * mean, mean], axis=1), None


def classify(batch: int = 4, workers: int = 2) -> Classify:
    return Classify(PREPROCESS, CLASSES, infer, batch, workers)


def images(folder: Path, count: int, broken: tuple[int, ...] = ()) -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        file = folder / f"{i:05}.png"
        Image.new("RGB", (3, 2), (i * 7 % 256, i * 5 % 256, i % 256)).save(file)
        if i in broken:
            file.write_bytes(file.read_bytes()[:40])
    return folder


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


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
    (folder / "x.png").mkdir()
    assert len(list(ImageFiles([folder]))) == 30


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


class Killed(Exception):
    """Stands for the end of the process: nothing after it runs."""


@settings(max_examples=40)
@given(count=st.integers(0, 40), batch=st.integers(1, 7), torn=st.integers(0, 200), data=st.data())
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    count: int, batch: int, torn: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The part file may end anywhere, as after a kill within a write: what follows is as if nothing had happened."""
    place = tmp_path_factory.mktemp("labels")
    folder = images(place / "images", count + 1, broken=(2,))
    files = ImageFiles([folder])
    whole, out = place / "whole.jsonl", place / "l.jsonl"
    write_labels(classify(batch), files, whole, {}, SILENT)
    broken = int(count >= 2)  # image 2
    stop = data.draw(st.integers(0, count - broken))

    def stops(inputs: Floats) -> tuple[Floats, None]:
        nonlocal stop
        stop -= len(inputs)
        if stop < 0:
            raise Killed
        return infer(inputs)

    with pytest.raises(Killed):
        write_labels(Classify(PREPROCESS, CLASSES, stops, batch), files, out, {}, SILENT)
    part = part_of(out)
    assert not out.exists()
    part.write_bytes(part.read_bytes()[: max(0, part.stat().st_size - torn)])
    done = write_labels(classify(batch), files, out, {}, SILENT)
    assert out.read_bytes() == whole.read_bytes()
    assert (done.count, done.failed) == (count + 1, broken)
    assert not part.exists()


def test_what_another_run_left_is_not_gone_on_from(folder: Path, tmp_path: Path) -> None:
    out, files = tmp_path / "l.jsonl", ImageFiles([folder])

    def broken(inputs: Floats) -> tuple[Floats, None]:
        raise Killed

    with pytest.raises(Killed):
        write_labels(Classify(PREPROCESS, CLASSES, broken, 4), files, out, {"bundle": "a"}, SILENT)
    for other, batch in (({"bundle": "b"}, 4), ({"bundle": "a"}, 5)):
        with pytest.raises(BadCheckpoint, match=r"another bundle or other settings.*delete .*l\.jsonl\.part"):
            write_labels(classify(batch), files, out, other, SILENT)
    done = write_labels(classify(4), files, out, {"bundle": "a"}, SILENT)
    assert done.count == 30
    part = part_of(out)
    part.write_text("a file of the user")
    with pytest.raises(BadCheckpoint, match="another bundle"):
        write_labels(classify(4), files, out, {"bundle": "a"}, SILENT)
    assert part.read_text() == "a file of the user"


def test_a_folder_that_changed_since(folder: Path, tmp_path: Path) -> None:
    out, calls = tmp_path / "l.jsonl", []

    def once(inputs: Floats) -> tuple[Floats, None]:
        calls.append(len(inputs))
        if len(calls) > 2:
            raise Killed
        return infer(inputs)

    with pytest.raises(Killed):
        write_labels(Classify(PREPROCESS, CLASSES, once, 4), ImageFiles([folder]), out, {}, SILENT)
    (folder / "00001.png").unlink()
    with pytest.raises(BadCheckpoint, match=r"row 2 of .*l\.jsonl\.part is of .*00001\.png.* is now .*00002\.png"):
        write_labels(classify(), ImageFiles([folder]), out, {}, SILENT)


def test_one_run_at_a_time_writes_a_file(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "l.jsonl"

    def second(inputs: Floats) -> tuple[Floats, None]:
        with pytest.raises(CannotWrite, match="another run writes"):
            write_labels(classify(), ImageFiles([folder]), out, {}, SILENT)
        return infer(inputs)

    assert write_labels(Classify(PREPROCESS, CLASSES, second, 30), ImageFiles([folder]), out, {}, SILENT).count == 30


def test_an_ending_that_no_format_has(folder: Path, tmp_path: Path) -> None:
    for name in ("l.xlsx", "l"):
        with pytest.raises(BadSetting, match=r"\.csv, \.jsonl, \.parquet"):
            write_labels(classify(), ImageFiles([folder]), tmp_path / name, {}, SILENT)
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


# --- the bundle and the command --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The smallest ONNX bundle: the mean of every channel is the logit of a class."""
    import onnx
    from onnx import TensorProto, helper

    shape: list[str | int | None] = ["batch", 3, 2, 3]
    node = helper.make_node("ReduceMean", ["images"], ["logits"], axes=[2, 3], keepdims=0)
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape[:2])]
    graph = helper.make_graph([node], "means", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    def fill(folder: Path) -> dict[str, Any]:
        onnx.save(model, str(folder / "model.onnx"))
        return {"preprocess": PREPROCESS, "classes": CLASSES}

    return write_bundle(tmp_path_factory.mktemp("bundle") / "onnx", "onnx", fill)


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


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_killed_loses_nothing(bundle: Bundle, tmp_path: Path, sign: signal.Signals) -> None:
    folder, out = images(tmp_path / "images", 3000, broken=(5,)), tmp_path / "l.jsonl"
    words = ("run", bundle.folder, folder, "--out", out, "--batch-size", "2", "--threads", "2", "--json")
    child = neuroprompt(*words)
    until = time.monotonic() + 100
    while time.monotonic() < until and not (part_of(out).exists() and part_of(out).stat().st_size > 20_000):
        time.sleep(0.002)
    child.send_signal(sign)
    child.communicate(timeout=100)
    assert child.returncode == (-signal.SIGKILL if sign == signal.SIGKILL else 130)
    assert not out.exists(), "the file appears whole or not at all"
    child = neuroprompt(*words)
    said, noted = child.communicate(timeout=100)
    assert child.returncode == 1
    assert "going on after" in noted
    assert json.loads(said)["images"] == 3000
    rows = rows_of(out)
    assert [row["file"] for row in rows] == [str(folder / f"{i:05}.png") for i in range(3000)]
    assert [i for i, row in enumerate(rows) if "error" in row] == [5]


MEMORY = """
import sys, resource
from neuroprompt.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(bundle: Bundle, tmp_path: Path) -> None:
    """100,000 files take as much as 2,000, but for the names of one folder at a time."""
    most = {}
    for count in (2_000, 100_000):
        folder = tmp_path / f"of{count}"
        for part in range(count // 1000):
            place = folder / f"{part:03}"
            place.mkdir(parents=True)
            first = place / "0.png"
            Image.new("RGB", (3, 2), (part, 1, 2)).save(first)
            for i in range(1, 1000):
                os.link(first, place / f"{i}.png")
        out = tmp_path / f"{count}.csv"
        words = ["run", str(bundle.folder), str(folder), "--out", str(out), "--json", "--threads", "2"]
        command = [sys.executable, "-c", MEMORY, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
        assert json.loads(done.stdout)["images"] == count
        most[count] = int(done.stderr.splitlines()[-1]) / 1024  # MB
        with out.open() as stream:
            assert sum(1 for _ in stream) == count + 1
    assert most[100_000] - most[2_000] < 10, most


def test_an_unknown_target_is_named(bundle: Bundle, folder: Path) -> None:
    with pytest.raises(BadSetting, match="a Lava bundle"):
        npt.run(bundle, [folder], target="loihi")
