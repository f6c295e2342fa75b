"""Labels of many images when the run is stopped: it goes on and ends with the same bytes; memory stays flat."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_images import CLASSES, PREPROCESS, Killed, classify, images, infer, means_bundle, rows_of
from PIL import Image

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.classify import Classify
from neuroprompt.bundles.image_files import ImageFiles
from neuroprompt.bundles.labels import part_of, write_labels
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import BadCheckpoint, CannotWrite
from neuroprompt.progress import SILENT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return images(tmp_path / "images", 30, broken=(3, 17))


# --- every image one row --------------------------------------------------------------------------------------------


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

    def killed(batches: int) -> Classify:
        """A run that ends after so many batches."""
        left = batches

        def stops(inputs: Floats) -> tuple[Floats, None]:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return infer(inputs)

        return Classify(PREPROCESS, CLASSES, stops, 4)

    for bundle, batches in (("c", 0), ("a", 1)):  # of the first no row is there, and nothing in the way of the second
        with pytest.raises(Killed):
            write_labels(killed(batches), files, out, {"bundle": bundle}, SILENT)
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


@pytest.mark.parametrize("row", [b"[" * 100_000, b'{"file": 1}', b'{"file": "FILE", "label": [], "top5": []}'])
def test_a_row_that_was_changed_is_computed_again(folder: Path, tmp_path: Path, row: bytes) -> None:
    out = tmp_path / "l.csv"
    write_labels(classify(), ImageFiles([folder]), out, {}, SILENT)
    whole = out.read_bytes()

    calls: list[int] = []

    def stops(inputs: Floats) -> tuple[Floats, None]:
        calls.append(len(inputs))
        if len(calls) > 4:
            raise Killed
        return infer(inputs)

    out.unlink()
    with pytest.raises(Killed):
        write_labels(Classify(PREPROCESS, CLASSES, stops, 4), ImageFiles([folder]), out, {}, SILENT)
    lines = part_of(out).read_bytes().splitlines()
    lines[6] = row.replace(b"FILE", str(folder / "00005.png").encode())
    part_of(out).write_bytes(b"\n".join(lines) + b"\n")
    write_labels(classify(), ImageFiles([folder]), out, {}, SILENT)
    assert out.read_bytes() == whole


def test_one_run_at_a_time_writes_a_file(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "l.jsonl"

    def second(inputs: Floats) -> tuple[Floats, None]:
        with pytest.raises(CannotWrite, match="another run writes"):
            write_labels(classify(), ImageFiles([folder]), out, {}, SILENT)
        return infer(inputs)

    assert write_labels(Classify(PREPROCESS, CLASSES, second, 30), ImageFiles([folder]), out, {}, SILENT).count == 30


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return means_bundle(tmp_path_factory.mktemp("bundle") / "onnx", PREPROCESS, CLASSES)


def neuroprompt(*words: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "neuroprompt", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


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
