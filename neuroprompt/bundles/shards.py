"""A data set split into shards, which an engine runs as commands of their own; each gives a whole file or none."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import neuroprompt
from neuroprompt.contracts.work import Engine, Resources, Task
from neuroprompt.errors import BadData, BadSetting, WorkerFailed
from neuroprompt.files import write_whole
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.events import EventSet, is_events
from neuroprompt.simulators.per_item import COUNTS, PerItem
from neuroprompt.simulators.tally import Tally
from neuroprompt.spiking.activity import Activity
from neuroprompt.workers.program_file import UNREADABLE

Arrays = dict[str, NDArray[Any]]
DIGEST = "digest"


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `count`, whose results go to `file`."""

    index: int
    count: int
    file: Path

    @classmethod
    def parse(cls, word: str) -> Shard:
        """INDEX/COUNT:FILE as a shard; raises BadSetting."""
        place, _, file = word.partition(":")
        index, _, count = place.partition("/")
        if not (index.isdecimal() and count.isdecimal() and file and int(index) < int(count)):
            raise BadSetting(f"shard {word!r}", "INDEX/COUNT:FILE, with the first index 0")
        return cls(int(index), int(count), Path(file))

    def of(self, items: int) -> range:
        """Its items, of so many in all."""
        return range(items * self.index // self.count, items * (self.index + 1) // self.count)


@dataclass(frozen=True)
class Split:
    """How a data set is split: an engine, the number of shards, and a folder for their files.

    Where tasks run on other machines, `work` is on storage that all of them share. Files in it are kept, so that the
    same command goes on where it stopped; without it they are in a temporary folder, and gone at the end.
    """

    engine: Engine
    shards: int
    work: Path | None = None

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise BadSetting(f"shards {self.shards}", "at least 1")

    def run(self, words: Sequence[str], reads: Sequence[Path], items: int, progress: Progress = SILENT) -> list[Arrays]:
        """What each shard of a command wrote, in the order of the items; no shard is empty.

        Raises WorkerFailed where a shard failed, and what the engine raises.
        """
        count = min(self.shards, items)
        with ExitStack() as stack:
            if self.work is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="np-shards-")))
            else:
                folder = self.work.resolve()
            tasks = [self._task(words, reads, i, count, folder) for i in range(count)]
            waiting = [task for task in tasks if not task.makes.exists()]
            failed: list[str] = []
            if waiting:
                ended = stack.enter_context(closing(self.engine.run(waiting, Resources())))
                for end in progress.track(ended, "shards", len(waiting)):
                    failed += [f"{end.task.name} {end.error}"] if end.error else []
            if failed:
                raise WorkerFailed(min(failed))
            return [read_arrays(task.makes) for task in tasks]

    def _task(self, words: Sequence[str], reads: Sequence[Path], index: int, count: int, folder: Path) -> Task:
        about = [(str(path), os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in reads]
        key = hashlib.sha256(repr((words, about)).encode()).hexdigest()[:12]
        home = folder / f"{key}-{index}-of-{count}"
        return Task(
            name=f"shard {index + 1} of {count}",
            words=(*words, "--shard", f"{index}/{count}:{home / 'shard.npz'}"),
            makes=home / "shard.npz",
            log=home / "log.txt",
            writes=home / "run",
            reads=tuple(reads),
        )


def words_of(verb: str, what: Path | str, options: Mapping[str, object]) -> list[str]:
    """The command line of a verb, its options by name: a list as often as it has values, None and False not at all."""
    words = [verb, str(Path(what).resolve())]
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None and each is not False:
                values = [] if each is True else [str(each.resolve()) if isinstance(each, Path) else str(each)]
                words += [f"--{name}", *values]
    return words


def inputs_and(inputs: Path | str, labels: Path | None, options: Mapping[str, object]) -> dict[str, object]:
    """The options of a data set beside others; a file's path, or the folder of recordings, made absolute."""
    if is_events(inputs):
        inputs = str(EventSet.parse(inputs))
    return {"inputs": Path(inputs) if os.path.exists(inputs) else str(inputs), "labels": labels, **options}


def reads_of(what: Path | str, inputs: Path | str, labels: Path | None) -> list[Path]:
    """The files and folders that each shard reads."""
    if is_events(inputs):
        inputs = EventSet.parse(inputs).home
    return [Path(path).resolve() for path in (what, inputs, labels) if path is not None and os.path.exists(path)]


# --- what a shard's file holds ---------------------------------------------------------------------------------------


def write_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Arrays as .npz, whole or not at all, with a digest of them and of whose they are; raises CannotWrite."""
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays, **{DIGEST: np.array(_digest(file, arrays))})
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, data.getvalue())


def read_arrays(file: Path) -> Arrays:
    """What `write_arrays` wrote into this file; raises BadData where it was changed, or is that of another shard."""
    try:
        if not file.is_file():
            raise ValueError("it is no regular file")  # a pipe would wait for ever
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
        if str(arrays.pop(DIGEST)) != _digest(file, arrays):
            raise ValueError("it was changed, or is of another shard or version")
    except UNREADABLE as error:
        raise BadData(f"{file} is not the file of this shard", "one that the shard wrote", "remove it") from error
    return arrays


def _digest(file: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """The SHA-256 of the arrays, of the shard's folder, which names its command and place, and of our version."""
    digest = hashlib.sha256(repr((neuroprompt.__version__, file.parent.name)).encode())
    for name, values in sorted(arrays.items()):
        digest.update(repr((name, values.dtype.str, values.shape)).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def tally_arrays(tally: Tally) -> Arrays:
    """A tally as arrays."""
    counts = {name: getattr(tally.counts, name) for name in COUNTS}
    same = np.array(list(tally.counts.same.json().values()), np.int64)
    about = {"classes": np.array(tally.classes), "decode": np.array(tally.decode), "same": same}
    return {"predicted": tally.predicted, **counts, **about}


def tally_of(shards: Sequence[Arrays], seconds: float) -> Tally:
    """The tally of all items, of what `tally_arrays` gave of each shard."""
    first = shards[0]
    same = Activity(**dict(zip((f.name for f in fields(Activity)), first["same"].tolist(), strict=True)))
    counts = PerItem.joined([PerItem(**{name: s[name] for name in COUNTS}, same=same) for s in shards])
    predicted = np.concatenate([s["predicted"] for s in shards])
    return Tally(predicted, counts, int(first["classes"]), str(first["decode"]), seconds)
