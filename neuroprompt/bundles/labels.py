"""The labels of many images in one file: written row by row beside it, resumed after a kill, put in place when whole.

While a run lasts, FILE.part holds a line of JSON that says what runs, then a line for every image, in order. A batch is
written at once when it is done. The same command again keeps what is there of whole batches and goes on, so that every
image has one row, the same as without the kill.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any

from neuroprompt.bundles.classify import Classify
from neuroprompt.bundles.image_files import ImageFiles
from neuroprompt.bundles.label_formats import check_form, convert
from neuroprompt.bundles.results import Labels, Unread
from neuroprompt.errors import BadCheckpoint, CannotWrite
from neuroprompt.files import json_of, remove
from neuroprompt.progress import Progress

FORMAT = "neuroprompt-labels-1"


def write_labels(classify: Classify, files: ImageFiles, out: Path, of: dict[str, Any], progress: Progress) -> Labels:
    """Classify `files` into `out` (.csv, .jsonl or .parquet); `of` says what runs, and must be the same to go on.

    Raises BadSetting for another ending, BadCheckpoint where FILE.part is of another run, CannotWrite, BadData and what
    the model raises.
    """
    check_form(out)
    header = {"format": FORMAT, "batch": classify.batch, **of}
    with _part(out) as stream:
        done, failed = _resume(stream, part_of(out), header, files, classify.batch)
        if done:
            progress.say(f"going on after {done:,} images of {files.count:,}")
        started = time.perf_counter()

        def rows() -> Iterator[None]:
            nonlocal failed
            for batch in classify.results(islice(files, done, None)):
                stream.write(b"".join(_line(result.json()) for result in batch))
                stream.flush()
                failed += sum(isinstance(result, Unread) for result in batch)
                yield from (None for _ in batch)

        count = done + sum(1 for _ in progress.track(rows(), "images", files.count - done))
        seconds = time.perf_counter() - started
        stream.seek(0)
        stream.readline()
        convert(map(json.loads, stream), out)
    remove(part_of(out))
    return Labels(out, count, failed, (count - done) / seconds if count > done else 0.0)


def part_of(out: Path) -> Path:
    """Where the rows are until all are there."""
    return out.with_name(f"{out.name}.part")


def started_form(out: Path, bundle: str) -> str | None:
    """The form with which an earlier run of the bundle of this digest began `out`; None where none did."""
    try:
        with part_of(out).open("rb") as stream:
            header = json_of(stream.readline())
    except (OSError, ValueError):
        return None
    ours = isinstance(header, dict) and header.get("bundle") == bundle and isinstance(header.get("form"), str)
    return header["form"] if ours else None


@contextmanager
def _part(out: Path) -> Iterator[IO[bytes]]:
    """FILE.part, opened to read and write by this process alone; raises CannotWrite."""
    part = part_of(out)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        # Without truncating: what a killed run wrote is what this one goes on from.
        stream = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    except OSError as error:
        raise CannotWrite(f"cannot write {part} ({error.strerror})", "a writable place") from error
    try:
        with stream:  # its end writes, too
            _lock(stream, part)
            yield stream
    except OSError as error:
        got = f"cannot write {part} ({error.strerror})"
        raise CannotWrite(got, "room on the disk", "free some and type the same command again") from error


def _lock(stream: IO[bytes], part: Path) -> None:
    with suppress(ImportError):  # no such locks on Windows
        import fcntl

        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotWrite(f"another run writes {part}", "one at a time", "wait for it, or stop it") from error


def _resume(stream: IO[bytes], part: Path, header: dict[str, Any], files: ImageFiles, batch: int) -> tuple[int, int]:
    """Keep the whole batches of an earlier run, if there are any; how many rows those are, and how many failed."""
    first = stream.readline()
    if first != _line(header):
        nothing_done = _is_header(first) and _row(stream.readline()) is None
        if not _line(header).startswith(first) and not nothing_done:
            got = f"{part} is of another bundle or other settings"
            raise BadCheckpoint(got, "those of this run", f"delete {part} to start again")
        stream.seek(0)
        stream.truncate()
        stream.write(_line(header))
        stream.flush()
        return 0, 0
    rows = failed = 0
    kept, place, end = (0, 0), len(first), len(first)
    left = iter(files)
    for line in stream:
        row = _row(line)
        if row is None:  # the last words of a killed run
            break
        file = next(left, None)
        if row["file"] != str(file):
            got = f"row {rows + 1} of {part} is of {row['file']}, and image {rows + 1} is now {file}"
            raise BadCheckpoint(got, "the same images as before", f"delete {part} to start again")
        rows, failed, end = rows + 1, failed + ("error" in row), end + len(line)
        if rows % batch == 0 or rows == files.count:
            kept, place = (rows, failed), end
    stream.seek(place)
    stream.truncate()
    return kept


def _is_header(line: bytes) -> bool:
    try:
        values = json_of(line)
    except ValueError:
        return False
    return isinstance(values, dict) and values.get("format") == FORMAT


def _row(line: bytes) -> dict[str, Any] | None:
    """A row of an earlier run; None where it was cut off, or changed: it is computed again."""
    try:
        row = json_of(line)
        return row if line.endswith(b"\n") and _whole(row) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _whole(row: dict[str, Any]) -> bool:
    """Whether a row has what `Prediction` or `Unread` writes; raises TypeError and the like where it is no row."""
    if "error" in row:
        return row.keys() == {"file", "error"} and all(isinstance(value, str) for value in row.values())
    labels, shares = zip(*row["top5"], strict=True)
    words, numbers = (row["file"], row["label"], *labels), (row["probability"], *shares, row.get("spike_density", 0.0))
    kinds = row.keys() <= {"file", "label", "probability", "top5", "spike_density"}
    return kinds and all(isinstance(word, str) for word in words) and all(isinstance(x, float) for x in numbers)


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"
