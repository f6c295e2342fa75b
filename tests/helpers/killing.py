"""The kill campaign: commands that write are killed at random moments, looked at, and typed again.

A case is a command in a folder of its own. It runs undisturbed once, which says how long it takes and what it writes.
Then, for each kill, in a new folder that holds nothing or the earlier result: the command is started, a victim gets a
signal at a random moment of that time, and

- no file that has appeared is half-written: it has the bytes of the undisturbed run, or is whole by its format;
- an earlier result is still there;
- no process of the command lives five seconds later;
- nothing printed a traceback;
- the same command typed again ends with exit code 0 and the same files, byte for byte, and nothing else.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fork_server import ForkServer

ORPHAN_SECONDS = 5.0
MOST_SECONDS = 300.0
"""How long a command may take at most that ends by itself."""
SIGNS = {
    "kill": signal.SIGKILL,
    "terminate": signal.SIGTERM,
    "interrupt": signal.SIGINT,
    "child": signal.SIGKILL,
}
WAYS = tuple(SIGNS)
"""SIGKILL, SIGTERM and SIGINT of the command's own process alone; SIGKILL of a process under it alone."""

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
    own, such as logs.
    """

    name: str
    words: str
    env: Mapping[str, str] = field(default_factory=dict)
    keeps: bool = True
    grows: Callable[[str], bool] = lambda name: False
    differs: Callable[[str], bool] = lambda name: False


@dataclass
class Record:
    """What became of the kills of a case; `faults` in words."""

    name: str
    seconds: float = 0.0
    kills: int = 0
    hit: int = 0
    lost: int = 0
    half_written: int = 0
    orphans: int = 0
    tracebacks: int = 0
    not_resumed: int = 0
    longest: float = 0.0
    ways: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def fault(self, kill: Kill, kind: str, words: str) -> None:
        """Count a fault of that kind."""
        setattr(self, kind, getattr(self, kind) + 1)
        earlier = ", over an earlier result" if kill.earlier else ""
        self.faults.append(f"kill {kill.number} ({kill.way} at {kill.moment:.3f} s{earlier}): {kind}: {words}")

    def line(self) -> str:
        """As a line of JSON."""
        return json.dumps(vars(self))


@dataclass(frozen=True)
class Kill:
    """Who is killed when, what stood there before, and what stands there at the end."""

    number: int
    way: str
    moment: float
    earlier: Files
    expected: Files


class Campaign:
    """Kills of cases in `home`, by a server of forks."""

    def __init__(self, server: ForkServer, home: Path) -> None:
        self.server, self.home = server, home
        self.said = home / "said"

    def kill(
        self, case: Case, kills: int, seed: int = 0, after: Callable[[Record], None] = lambda record: None
    ) -> Record:
        """Kill a case so many times; `after` is called after each."""
        record = Record(case.name)
        rng = random.Random(f"{case.name} {seed}")
        place = self.home / "place"
        self._undisturbed(case, place)  # what is read for the first time takes longer
        before = time.monotonic()
        expected, code, has_children = self._undisturbed(case, place)
        record.seconds = time.monotonic() - before
        if code:
            record.faults.append(f"undisturbed: exit code {code}: {self._words()[-300:]}")
            return record
        for number in range(kills):
            way = WAYS[number % len(WAYS)]
            way = "kill" if way == "child" and not has_children else way
            earlier = expected if case.keeps and number // len(WAYS) % 2 == 1 else {}
            kill = Kill(number + 1, way, rng.random() * record.seconds, earlier, expected)
            self._one(case, kill, record)
            after(record)
        return record

    def _undisturbed(self, case: Case, place: Path) -> tuple[Files, int, bool]:
        """What it writes, its exit code, and whether there were processes under it."""
        fresh(place, {})
        pid = self.server.start(case.words.split(), place, self.said, case.env)
        children = False
        while alive(pid):
            children = children or len(self.server.living()) > 1
            time.sleep(0.02)
        code = self.server.end().code
        return files_in(place, hidden=True), code, children

    def _one(self, case: Case, kill: Kill, record: Record) -> None:
        place = self.home / "place"
        fresh(place, kill.earlier)
        began = time.monotonic()
        pid = self.server.start(case.words.split(), place, self.said, case.env)
        time.sleep(kill.moment)
        victim = self._child(pid) if kill.way == "child" else pid
        if victim and alive(pid) and sent(victim, SIGNS[kill.way]):
            record.hit += 1
        else:  # it is faster than it was: the next moments come sooner
            record.seconds = min(record.seconds, time.monotonic() - began)
        record.kills += 1
        record.ways[kill.way] = record.ways.get(kill.way, 0) + 1
        self._end(pid, kill, record)
        if "Traceback" in IGNORED.sub("", self._words()):
            record.fault(kill, "tracebacks", self._words()[-2500:])
        for name, words in half_written(files_in(place), kill.expected, case).items():
            record.fault(kill, "half_written", f"{name}: {words}")
        for name in kill.earlier:
            if not (place / name).exists():
                record.fault(kill, "lost", name)
        self.server.start(case.words.split(), place, self.said, case.env)
        if code := self.server.end().code:
            record.fault(kill, "not_resumed", f"exit code {code}: {self._words()[-300:]}")
        elif difference := differences(files_in(place, hidden=True), kill.expected, case):
            record.fault(kill, "not_resumed", difference)

    def _end(self, pid: int, kill: Kill, record: Record) -> None:
        """Wait for the command's end, then for those under it."""
        until = time.monotonic() + MOST_SECONDS
        while alive(pid) and time.monotonic() < until:
            time.sleep(0.005)
        if alive(pid):
            record.fault(kill, "orphans", "the command itself did not end")
            sent(pid, signal.SIGKILL)
        self.server.end()
        ended = time.monotonic()
        while (living := self.server.living()) and time.monotonic() - ended < ORPHAN_SECONDS:
            time.sleep(0.02)
        record.longest = max(record.longest, time.monotonic() - ended)
        for each in living:
            record.fault(kill, "orphans", command_of(each))
            sent(each, signal.SIGKILL)

    def _child(self, pid: int) -> int:
        """A process under the command, waited for until it ends; 0 where none came."""
        while alive(pid):
            if children := [each for each in self.server.living() if each != pid]:
                return children[-1]
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
    changed = [name for name, data in files.items() if data != expected[name] and not case.differs(name)]
    return f"other bytes: {changed[:8]}" if changed else ""


def half_written(files: Files, expected: Files, case: Case) -> dict[str, str]:
    """What has appeared and is not what the undisturbed run wrote, nor whole by its format."""
    faults = {}
    for name, data in files.items():
        if case.differs(name) or data == expected.get(name):
            continue
        words = broken(Path(name).suffix, data) if case.grows(name) else "bytes of no undisturbed run"
        if words:
            faults[name] = words
    return faults


def broken(suffix: str, data: bytes) -> str:
    """What is wrong with a file of that suffix; an empty text where it is whole."""
    if suffix == ".json":
        try:
            json.loads(data)
        except ValueError as error:
            return str(error)
        return ""
    if suffix == ".safetensors":
        return _broken_tensors(data)
    return "" if data else "empty"


def _broken_tensors(data: bytes) -> str:
    length = int(np.frombuffer(data[:8], "<u8")[0]) if len(data) >= 8 else -1
    if length < 0 or len(data) < 8 + length:
        return "truncated header"
    header = json.loads(data[8 : 8 + length])
    end = max((of["data_offsets"][1] for name, of in header.items() if name != "__metadata__"), default=0)
    return "" if len(data) == 8 + length + end else "truncated tensors"


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def sent(pid: int, sign: signal.Signals) -> bool:
    """Send a signal; whether there was anybody."""
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return False
    return True


def command_of(pid: int) -> str:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[-200:]
    except OSError:
        return "?"
