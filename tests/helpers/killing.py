"""The kill campaign: commands that write are killed at random moments, looked at, and typed again.

A case is a command in a folder of its own. It runs undisturbed once, which says how long it takes and what it writes.
Then, for each kill, in a new folder that holds nothing or the earlier result: the command is started, a victim gets a
signal at a moment of that time, and

- no file that has appeared is half-written: it has the bytes of the undisturbed run, or is whole by its format;
- an earlier result is still there;
- no process of the command lives five seconds later;
- nothing printed a traceback;
- the same command typed again ends with exit code 0 and the same files, byte for byte, and nothing else.

A moment is a share of the processor time that the undisturbed run takes, with the processes under it: other work on the
machine does not move it. The shares are spread evenly, whatever the number of kills, and each follows from the kill's
number alone, so that a campaign which is itself interrupted goes on where it was.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from broken_files import FORMATS, broken
from fork_server import ForkServer
from process_times import alive, command_of, family, processor_seconds, sent

ORPHAN_SECONDS = 5.0
MOST_SECONDS = 300.0
"""How long a command may take at most that ends by itself."""
SIGNS = {
    "kill": signal.SIGKILL,
    "terminate": signal.SIGTERM,
    "interrupt": signal.SIGINT,
    "child": signal.SIGKILL,
    "group": signal.SIGINT,
}
WAYS = tuple(SIGNS)
"""SIGKILL, SIGTERM and SIGINT of the command's own process alone; SIGKILL of a process under it alone; SIGINT of its
group, as a terminal sends it."""
GOLDEN = (5**0.5 - 1) / 2
"""Its multiples without their whole part are spread evenly, however many there are."""

IGNORED = re.compile(r"Exception ignored in: .*\nTraceback[^\n]*\n(?:  .*\n)*.*\n?")
"""What Python itself prints where Ctrl-C falls into a destructor: no caller can prevent it."""

Files = Mapping[str, bytes]

TINY = "--random-weights --image-size 16 --batch 8 --device cpu"
TRAIN = f"train {TINY} --limit 60 --tokens 2"
"""The smallest training."""


@dataclass(frozen=True)
class Case:
    """A command to kill: its words, what its folder holds before, and what of its files may differ.

    `keeps` says whether a result that was there before must stay until the new one takes its place; `grows` names
    files that appear one after the other and change, each whole; `differs` names those whose bytes are of each run's
    own, such as logs; `counts` gives what counts of a file's bytes, where not all does. `given` are files that are
    there before, which the command changes. `reset` and `elsewhere` are for what the command writes outside its
    folder: empty that place, and what stands there.
    """

    name: str
    words: str
    env: Mapping[str, str] = field(default_factory=dict)
    keeps: bool = True
    grows: Callable[[str], bool] = lambda name: False
    differs: Callable[[str], bool] = lambda name: False
    counts: Callable[[str, bytes], bytes] = lambda name, data: data
    given: Files = field(default_factory=dict)
    reset: Callable[[], object] = lambda: None
    elsewhere: Callable[[], Files] = dict

    def files(self, place: Path, hidden: bool = False) -> Files:
        """What stands in its folder, and elsewhere."""
        return {**files_in(place, hidden), **self.elsewhere()}


@dataclass
class Killed:
    """What became of one kill."""

    case: str
    number: int
    way: str
    share: float
    earlier: bool
    hit: bool = False
    orphan_seconds: float = 0.0
    faults: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of its kind (lost, half_written, orphans, tracebacks, not_resumed) and what it was."""

    def line(self) -> str:
        """As a line of JSON."""
        return json.dumps(vars(self))


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: what it wrote, its processor seconds, whether there were processes under it."""

    files: Files
    seconds: float
    has_children: bool


class Campaign:
    """Kills of cases in `home`, by a server of forks."""

    def __init__(self, server: ForkServer, home: Path) -> None:
        self.server, self.home = server, home
        self.said = home / "said"

    def kill(self, case: Case, numbers: Sequence[int], seed: int = 0) -> Iterator[Killed]:
        """The kills of a case that have these numbers."""
        place = self.home / "place"
        self._undisturbed(case, place)  # what is read for the first time takes longer
        whole = self._undisturbed(case, place)
        offset = random.Random(f"{case.name} {seed}").random()
        for number in numbers:
            way = WAYS[number % len(WAYS)]
            way = "kill" if way == "child" and not whole.has_children else way
            earlier = case.keeps and number // len(WAYS) % 2 == 1
            killed = Killed(case.name, number, way, (offset + number * GOLDEN) % 1, earlier)
            self._one(case, killed, whole)
            yield killed

    def _undisturbed(self, case: Case, place: Path) -> Whole:
        fresh(place, case.given)
        case.reset()
        pid = self.server.start(case.words.split(), place, self.said, case.env)
        children, seconds = False, 0.0
        while alive(pid):
            children = children or len(family(pid)) > 1
            seconds = max(seconds, processor_seconds(pid))
            time.sleep(0.002)
        code = self.server.end().code
        assert code == 0, f"{case.name}: undisturbed: exit code {code}: {self._words()[-900:]}"
        return Whole(case.files(place, hidden=True), seconds, children)

    def _one(self, case: Case, killed: Killed, whole: Whole) -> None:
        place = self.home / "place"
        earlier = whole.files if killed.earlier else case.given
        fresh(place, earlier)
        case.reset()
        pid = self.server.start(case.words.split(), place, self.said, case.env)
        while alive(pid) and processor_seconds(pid) < killed.share * whole.seconds:
            time.sleep(0.001)
        victim = self._child(pid) if killed.way == "child" else pid
        if victim and alive(pid):
            killed.hit = sent(victim, SIGNS[killed.way], group=killed.way == "group")
        self._end(pid, killed)
        if "Traceback" in IGNORED.sub("", self._words()):
            killed.faults.append(("tracebacks", self._words()[-2500:]))
        for name, words in half_written(case.files(place), whole.files, case).items():
            killed.faults.append(("half_written", f"{name}: {words}"))
        for name in earlier:
            if not os.path.lexists(place / name):
                killed.faults.append(("lost", name))
        self.server.start(case.words.split(), place, self.said, case.env)
        if code := self.server.end().code:
            killed.faults.append(("not_resumed", f"exit code {code}: {self._words()[-300:]}"))
        elif difference := differences(case.files(place, hidden=True), whole.files, case):
            killed.faults.append(("not_resumed", difference))

    def _end(self, pid: int, killed: Killed) -> None:
        """Wait for the command's end, then for those under it."""
        until = time.monotonic() + MOST_SECONDS
        while alive(pid) and time.monotonic() < until:
            time.sleep(0.005)
        if alive(pid):
            killed.faults.append(("orphans", "the command itself did not end"))
            sent(pid, signal.SIGKILL)
        self.server.end()
        ended = time.monotonic()
        while (living := self.server.living()) and time.monotonic() - ended < ORPHAN_SECONDS:
            time.sleep(0.02)
        killed.orphan_seconds = round(time.monotonic() - ended, 3)
        for each in living:
            killed.faults.append(("orphans", command_of(each)))
            sent(each, signal.SIGKILL)

    def _child(self, pid: int) -> int:
        """A process under the command, waited for until it ends; 0 where none came."""
        while alive(pid):
            if len(pids := family(pid)) > 1:
                return pids[-1]
            time.sleep(0.002)
        return 0

    def _words(self) -> str:
        return "".join(Path(f"{self.said}.{ending}").read_text(errors="replace") for ending in ("out", "err"))


def fresh(place: Path, files: Files) -> None:
    """Make `place` hold these files alone."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if data.startswith(LINK):
            (place / name).symlink_to(os.fsdecode(data.removeprefix(LINK)))
        else:
            (place / name).write_bytes(data)
            (place / name).chmod(0o755)


LINK = b"a link to "


def files_in(place: Path, hidden: bool = False) -> dict[str, bytes]:
    """Every file by its path; those on the way to it (hidden ones, and .part) only where asked."""
    files = {}
    for folder, folders, names in os.walk(place):
        for name in [*names, *(link for link in folders if (Path(folder) / link).is_symlink())]:
            path = str((Path(folder) / name).relative_to(place))
            on_the_way = path.startswith(".") or "/." in path or path.endswith(".part")
            if on_the_way and not hidden:
                continue
            file = place / path
            files[path] = LINK + os.fsencode(os.readlink(file)) if file.is_symlink() else file.read_bytes()
    return files


def differences(files: Files, expected: Files, case: Case) -> str:
    """In which files the two differ; an empty text where in none."""
    if files.keys() != expected.keys():
        return f"other files: {sorted(files.keys() ^ expected.keys())[:8]}"
    same = {name for name, data in files.items() if case.counts(name, data) == case.counts(name, expected[name])}
    changed = [name for name in files if name not in same and not case.differs(name)]
    return f"other bytes: {changed[:8]}" if changed else ""


def half_written(files: Files, expected: Files, case: Case) -> dict[str, str]:
    """What has appeared and is not what the undisturbed run wrote, nor whole by its format."""
    faults = {}
    for name, data in files.items():
        of_each_run = case.differs(name) and not (case.grows(name) and name.endswith(tuple(FORMATS)))
        counts = case.counts(name, data)
        before = [case.counts(name, known[name]) for known in (expected, case.given) if name in known]
        if of_each_run or counts in before:
            continue
        words = broken(Path(name).suffix, data) if case.grows(name) else "bytes of no undisturbed run"
        if words:
            faults[name] = words
    return faults
