"""The contract of where commands run: Engine, on one machine or many. A task is a command line of our own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from neuroprompt.errors import BadSetting
from neuroprompt.plugin import Plugin


@dataclass(frozen=True)
class Task:
    """One `neuroprompt` command: `words` after the program's name, in which all paths are absolute.

    It reads what stands at `reads`, writes to the folder `writes`, and has made the file `makes` when it ends well.
    What it prints is added to `log`. The same task again goes on where it stopped: a retry needs nothing else.
    """

    name: str
    words: tuple[str, ...]
    makes: Path
    log: Path
    writes: Path
    reads: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Resources:
    """What each task gets, and how many run at once; raises BadSetting.

    `threads` is the same on every machine, because sums in another order round otherwise. `gpus` None leaves each task
    what the machine shows it; 0 hides all. `at_once` None: as many as there is room for. A task that takes longer than
    `hours` is ended.
    """

    threads: int = 1
    gpus: int | None = None
    at_once: int | None = None
    hours: float = 24.0

    def __post_init__(self) -> None:
        for name, least in (("threads", 1), ("gpus", 0), ("at_once", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BadSetting(f"{name} {value}", f"at least {least}")
        if not 0 < self.hours < math.inf:
            raise BadSetting(f"hours {self.hours}", "a number above 0")


@dataclass(frozen=True)
class Ended:
    """A task that has ended: `error` is one line, or empty where all went well."""

    task: Task
    error: str = ""


class Engine(Plugin, ABC):
    """A way to run tasks; one file per engine in `engines/`."""

    kind = "engine"
    folder = "neuroprompt.engines"
    about: ClassVar[str]

    @abstractmethod
    def run(self, tasks: Sequence[Task], resources: Resources) -> Generator[Ended, None, None]:
        """Run all tasks and give each as it ends; one that fails stops no other.

        First everything is checked that would fail every task: what must be installed, and that each machine sees what
        tasks read and write. Closing the iterator ends the tasks that run. Raises RuntimeMissing, BadSetting, BadData,
        CannotWrite.
        """
