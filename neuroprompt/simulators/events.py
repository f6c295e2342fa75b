"""Event recordings of tonic's data sets as items: the events of each are counted in as many bins of time as steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from neuroprompt.compiler.flatten import Flat
from neuroprompt.errors import BadData, BadSetting, CannotWrite, RuntimeMissing, UnknownName
from neuroprompt.extras import install, need
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.items import Items, read_items

PREFIX = "tonic:"
FORM = "tonic:NAME, tonic:NAME:SPLIT or tonic:NAME:SPLIT:N (the first N), each with @FOLDER where it is elsewhere"
_FLAG: Mapping[str, Mapping[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
SETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "NMNIST": _FLAG,
    "DVSGesture": _FLAG,
    "SHD": _FLAG,
    "SSC": {"train": {"split": "train"}, "val": {"split": "valid"}, "test": {"split": "test"}},
}
"""What asks tonic for each split of a set: those of one sensor size whose labels are whole numbers."""
UNREADABLE = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError)
"""What tonic's readers raise for files that are not as they should be."""

Shape = tuple[int, ...]


def is_events(inputs: Path | str) -> bool:
    """Whether `inputs` names recordings of tonic, not a file."""
    return str(inputs).startswith(PREFIX)


@dataclass(frozen=True)
class EventSet:
    """The first `first` recordings (0: all) of a split of a set of tonic, whose files are in `folder`/NAME."""

    name: str
    split: str
    first: int
    folder: Path

    @classmethod
    def parse(cls, word: Path | str) -> EventSet:
        """`FORM` as a set; its folder is tonic's in the user's cache unless named. Raises BadSetting, UnknownName."""
        text, at, folder = str(word).removeprefix(PREFIX).partition("@")
        form = re.fullmatch(r"([^:]*)(?::([^:]*)(?::(\d*))?)?", text)
        if form is None or (at and not folder) or form[3] in ("", "0"):
            raise BadSetting(f"{str(word)!r}", FORM)
        name, split, first = form[1], form[2] or "test", int(form[3] or 0)
        if name not in SETS:
            raise UnknownName(f"no event data of tonic is called {name!r} here", f"one of: {', '.join(SETS)}")
        if split not in SETS[name]:
            raise BadSetting(f"split {split!r} of tonic's {name}", f"one of: {', '.join(SETS[name])}")
        place = Path(folder).expanduser() if folder else platformdirs.user_cache_path("neuroprompt") / "tonic"
        return cls(name, split, first, place.absolute())

    def __str__(self) -> str:
        """The same set as `parse` reads it, with its folder."""
        first = f":{self.first}" if self.first else ""
        return f"{PREFIX}{self.name}:{self.split}{first}@{self.folder}"

    @property
    def home(self) -> Path:
        """Where its files are."""
        return self.folder / self.name

    def opened(self) -> Any:
        """tonic's data set of the files that are there, none of which is downloaded. Raises BadData, RuntimeMissing."""
        kind = _kind(self.name)
        # tonic would download what it does not take for whole: here what is unpacked is taken as it is.
        on_disk = type(kind.__name__, (kind,), {"_check_exists": lambda _: True})
        try:
            recordings = on_disk(str(self.folder), **SETS[self.name][self.split])
            there = len(recordings)
        except UNREADABLE as error:
            raise self._missing() from error
        if not there:
            raise self._missing()
        return recordings

    def download(self, progress: Progress = SILENT) -> None:
        """Download the split into `folder` and unpack it, unless it is there. Raises BadData, CannotWrite."""
        kind = _kind(self.name)
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot write {self.home} ({error.strerror})", "a writable folder") from error
        progress.say(f"tonic's {self.name}, {self.split}, into {self.home}")
        try:
            kind(str(self.folder), **SETS[self.name][self.split])
        except (*UNREADABLE, RuntimeError) as error:
            got = f"tonic cannot download {self.name} into {self.home} ({type(error).__name__}: {error})"
            raise BadData(got, "a network, room on the disk, and files of the right MD5", "try again later") from error

    def _missing(self) -> BadData:
        got = f"the {self.split} recordings of tonic's {self.name} are not in {self.home}"
        fix = f"download them by 'neuroprompt pull tonic:{self.name}:{self.split}', or say where: @FOLDER"
        return BadData(got, "its files as they are published", fix)


def _kind(name: str) -> Any:
    """The class of tonic; raises RuntimeMissing where it is not installed, or not whole."""
    need("events")
    try:
        import tonic
    except ImportError as error:
        raise RuntimeMissing(
            f"tonic cannot be imported ({error})", "tonic with its packages", install("events")
        ) from error
    return getattr(tonic.datasets, name)


@dataclass(frozen=True)
class EventItems(Items):
    """Recordings, of which `frames(i)` gives one as (T, lines): how many events each line had in each bin of time."""

    frames: Callable[[int], NDArray[np.int16]] | None = None

    def part(self, start: int, stop: int) -> NDArray[Any]:
        """The frames of recordings from `start` up to `stop`, (b, T, lines)."""
        assert self.frames is not None
        return np.stack([self.frames(i) for i in range(start, min(stop, len(self)))])


def event_items(
    word: Path | str, shape: Shape, steps: int | None, its_own: int | None = None, progress: Progress = SILENT
) -> EventItems:
    """The recordings of `word` (`FORM`) as items of `steps` steps (or the model's own) with their labels.

    Each is cut into `steps` bins of equal length from its first event to its last, and step t counts the events of bin
    t, as tonic's `ToFrame(n_time_bins=steps)`. Lines are in the order (polarity, y, x), or (y, x, polarity) where the
    model's input has that `shape`. Every recording is read once beforehand, for the largest count.

    Raises BadData, BadSetting, UnknownName, RuntimeMissing.
    """
    events = EventSet.parse(word)
    steps = its_own if steps is None else steps
    if steps is None or steps < 1:
        raise BadSetting(f"{word} without a number of steps", "bins of time for a recording", "for example --steps 100")
    recordings = events.opened()
    import tonic  # there, since the set was opened

    width, height, polarities = recordings.sensor_size
    lines, last = width * height * polarities, shape == (height, width, polarities) != (polarities, height, width)
    if lines != int(np.prod(shape)):
        got = f"tonic's {events.name} gives frames of {polarities} x {height} x {width}, {lines} numbers"
        raise BadData(got, f"{int(np.prod(shape))}: the graph's input is {' x '.join(map(str, shape))}")
    bins = tonic.transforms.ToFrame(sensor_size=recordings.sensor_size, n_time_bins=steps)
    # Some of tonic's sets are listed in the order of the file system, which differs from machine to machine.
    paths = [str(path) for path in recordings.data]
    order = sorted(range(len(recordings)), key=lambda i: paths[i]) if paths else list(range(len(recordings)))
    order = order[: events.first or None]

    def read(i: int) -> tuple[NDArray[np.int16], int]:
        name = paths[order[i]] if paths else f"recording {i} of tonic's {events.name} in {events.home}"
        try:
            recorded, label = recordings[order[i]]
            if not len(recorded):
                raise BadData(f"{name} holds no event", "at least one")
            counted = bins(recorded)
            return (np.moveaxis(counted, 1, -1) if last else counted).reshape(steps, lines), int(label)
        except UNREADABLE as error:
            raise BadData(f"{name} cannot be read ({error})", "events of this sensor", "get the file again") from error

    labels, largest = np.zeros(len(order), np.int64), 0
    for i in progress.track(range(len(order)), f"reading {events.name}"):
        frames, labels[i] = read(i)
        largest = max(largest, int(frames.max()))
    return EventItems(np.empty((len(order), 0)), lines, steps, labels, float(largest), lambda i: read(i)[0])


def items_of(
    flat: Flat,
    inputs: Path | str,
    labels: Path | None,
    *,
    steps: int | None,
    its_own: int | None = None,
    progress: Progress = SILENT,
) -> Items:
    """The items for a graph in a file (`read_items`), or of a set of tonic (`event_items`), which has its own labels.

    `its_own` are the steps of the graph, where `steps` are not set. Raises what both raise.
    """
    if not is_events(inputs):
        return read_items(Path(inputs), labels, flat.lines, steps, its_own)
    if labels is not None:
        raise BadSetting(f"labels {labels} beside {inputs}", "the labels of that data set")
    shape = flat.inputs[0].shape if len(flat.inputs) == 1 else (flat.lines,)
    return event_items(inputs, shape, steps, its_own, progress)
