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
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fork_server import ForkServer
from safetensors import safe_open

ORPHAN_SECONDS = 5.0
MOST_SECONDS = 300.0
"""How long a command may take at most that ends by itself."""
WAYS = ("kill", "terminate", "interrupt", "child")
"""SIGKILL, SIGTERM and SIGINT of the command's own process alone; SIGKILL of a process under it alone."""

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Case:
    """A command to kill: its words, what its folder holds before, and what of its files may differ.

    `keeps` says whether a result that was there before must stay until the new one takes its place; `grows` names
    files that appear one after the other and change, each whole; `differs` names those whose bytes are of each run's
    own, such as logs.
    """

    name: str
    words: tuple[str, ...]
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

    def line(self) -> str:
        """As a line of JSON."""
        return json.dumps(vars(self))


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
            again = case.keeps and number // len(WAYS) % 2 == 1
            fresh(place, expected if again else {})
            self._one(case, place, expected if again else {}, expected, way, rng.random() * record.seconds, record)
            record.kills += 1
            record.ways[way] = record.ways.get(way, 0) + 1
            after(record)
        return record

    def _undisturbed(self, case: Case, place: Path) -> tuple[Files, int, bool]:
        """What it writes, its exit code, and whether there were processes under it."""
        fresh(place, {})
        pid = self.server.start(case.words, place, self.said, case.env)
        children = False
        while alive(pid):
            children = children or len(self.server.living()) > 1
            time.sleep(0.02)
        code = self.server.end()
        return files_in(place, hidden=True), code, children

    def _one(
        self, case: Case, place: Path, earlier: Files, expected: Files, way: str, moment: float, record: Record
    ) -> None:
        label = f"kill {record.kills + 1} ({way} at {moment:.3f} s{', over an earlier result' if earlier else ''})"

        def fault(kind: str, words: str) -> None:
            setattr(record, kind, getattr(record, kind) + 1)
            record.faults.append(f"{label}: {kind}: {words}")

        pid = self.server.start(case.words, place, self.said, case.env)
        time.sleep(moment)
        victim = pid
        if way == "child":
            victim = self._child(pid)
        sign = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT}.get(way, signal.SIGKILL)
        record.hit += victim != 0 and alive(pid) and sent(victim, sign)
        until = time.monotonic() + MOST_SECONDS
        while alive(pid) and time.monotonic() < until:
            time.sleep(0.005)
        if alive(pid):
            fault("orphans", "the command itself did not end")
            sent(pid, signal.SIGKILL)
        self.server.end()
        ended = time.monotonic()
        while (living := self.server.living()) and time.monotonic() - ended < ORPHAN_SECONDS:
            time.sleep(0.02)
        record.longest = max(record.longest, time.monotonic() - ended)
        if living:
            fault("orphans", " | ".join(command_of(each) for each in living))
            for each in living:
                sent(each, signal.SIGKILL)
        if "Traceback" in self._words():
            fault("tracebacks", self._words()[-400:])
        for name, words in half_written(files_in(place), expected, case).items():
            fault("half_written", f"{name}: {words}")
        for name in earlier:
            if not (place / name).exists():
                fault("lost", name)
        self.server.start(case.words, place, self.said, case.env)
        code = self.server.end()
        if code:
            fault("not_resumed", f"exit code {code}: {self._words()[-300:]}")
            return
        got = files_in(place, hidden=True)
        if got.keys() != expected.keys():
            fault("not_resumed", f"other files: {sorted(got.keys() ^ expected.keys())[:8]}")
        elif changed := [name for name in got if got[name] != expected[name] and not case.differs(name)]:
            fault("not_resumed", f"other bytes: {changed[:8]}")

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
