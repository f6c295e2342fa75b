"""What must hold of a task's paths before the first task starts; every machine that runs tasks asks it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from neuroprompt.contracts.work import Task
from neuroprompt.errors import BadData, CannotWrite


def reads_of(tasks: Sequence[Task]) -> list[Path]:
    """What the tasks read, each path once."""
    return list(dict.fromkeys(path for task in tasks for path in task.reads))


def writes_of(tasks: Sequence[Task]) -> list[Path]:
    """The folders that hold what the tasks write, each once."""
    return list(dict.fromkeys(path.parent for task in tasks for path in (task.writes, task.log, task.makes.parent)))


def missing_here(reads: Iterable[str], probes: Iterable[str]) -> list[str]:
    """Those of the paths that this machine does not see."""
    return [path for path in (*reads, *probes) if not os.path.exists(path)]


@contextmanager
def probes(tasks: Sequence[Task]) -> Iterator[list[Path]]:
    """New files in the folders that tasks write to: a machine that shares these places sees them."""
    files = [folder / f".probe-{uuid.uuid4().hex}" for folder in writes_of(tasks)]
    try:
        for file in files:
            file.touch()
        yield files
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def check_paths(tasks: Sequence[Task]) -> None:
    """Raise BadData or CannotWrite unless all paths are absolute, what is read is there, and places are writable."""
    for path in (*reads_of(tasks), *writes_of(tasks)):
        if not path.is_absolute():
            raise BadData(f"the path {path}", "an absolute one: a task may start in another folder")
    for path in reads_of(tasks):
        if not path.exists():
            raise BadData(f"{path} is not there", "a file or folder that each task can read")
    for folder in writes_of(tasks):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot write {folder} ({error.strerror})", "a writable place") from error
