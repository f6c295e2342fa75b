"""Commands of neuroprompt as forks of one process that has imported what they need: no seconds of imports for each.

`fork_server.py` reads a line of JSON for each command (words, cwd, said, env, limits), forks, and answers with the
process's number, then with its end: exit code, processor seconds, KiB of memory. Its arguments are names of packages
that its commands do not find.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import TracebackType
from typing import Any

MODULES = (
    *("neuroprompt.cli", "neuroprompt.cli._app", "neuroprompt.bundles.artefact", "neuroprompt.bundles.data_run"),
    *(
        "neuroprompt.bundles.hub",
        "neuroprompt.compiler.compile",
        "neuroprompt.report.write",
        "neuroprompt.sweeps.sweep",
    ),
    *("neuroprompt.training.loop", "neuroprompt.training.evaluation", "neuroprompt.training.seeds"),
    *(
        "neuroprompt.bundles.trained",
        "neuroprompt.onnxgraph.parity",
        "onnx",
        "onnxruntime",
        "onnxscript",
        "torchvision",
    ),
    *(
        "pydantic",
        "snntorch",
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_svg",
    ),
)


BASE_MODULES = (
    *("neuroprompt.cli", "neuroprompt.cli._app", "neuroprompt.bundles.artefact", "neuroprompt.compiler.compile"),
    *("onnx", "onnxruntime", "PIL.Image"),
)
"""What commands of the base install import, which a server that lacks packages has imported before it forks."""


@dataclass(frozen=True)
class Ended:
    """The end of a command: its exit code, negative for a signal, and what its own process took."""

    code: int
    cpu_seconds: float
    kib: int


class ForkServer:
    """The server as a child process, for a `with`; `mark` stands in the environment of every process under it.

    `under` is a command that starts others, such as unshare; `gone` are packages that its commands do not find.
    """

    def __init__(
        self, mark: str, env: Mapping[str, str] | None = None, under: Sequence[str] = (), gone: Sequence[str] = ()
    ) -> None:
        self.mark = f"NEUROPROMPT_CAMPAIGN={mark}"
        name, value = self.mark.split("=")
        more = {name: value, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        self.process = subprocess.Popen(
            [*under, sys.executable, str(Path(__file__)), *gone],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **more, **(env or {})},
        )
        assert self._line() == "ready"

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def start(
        self,
        words: Sequence[object],
        cwd: Path,
        said: Path,
        env: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> int:
        """Start a command, with its output in `said`.out and `said`.err; its process's number.

        `limits` are soft limits by the names of `resource`, such as RLIMIT_CPU.
        """
        order = {
            "words": list(map(str, words)),
            "cwd": str(cwd),
            "said": str(said),
            "env": dict(env or {}),
            "limits": dict(limits or {}),
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def end(self) -> Ended:
        """Wait for the command's end."""
        code, seconds, kib = self._line().split()
        return Ended(int(code), float(seconds), int(kib))

    def virtual_bytes(self) -> int:
        """How much address space the server has, which a limit for a command adds to."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[0])
        return pages * resource.getpagesize()

    def living(self) -> list[int]:
        """Processes under the server that live, whoever is their parent by now."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                marked = self.mark.encode() in (place / "environ").read_bytes().split(b"\0")
                state = (place / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marked and state not in ("Z", "X") and int(place.name) != self.process.pid:
                found.append(int(place.name))
        return found

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if gone := sys.argv[1:]:
        hide(gone)
    for name in os.environ.get("NEUROPROMPT_MODULES", "").split():
        importlib.import_module(name)
    sys.path.remove(str(Path(__file__).parent))  # a command finds none of our helpers
    for name in BASE_MODULES if gone else MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a command's own collections leave the pages of all this shared
    answers = os.fdopen(os.dup(1), "w")
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            answers.close()
            _command(order)
        print(pid, file=answers, flush=True)
        _, status, used = os.wait4(pid, 0)
        seconds = used.ru_utime + used.ru_stime
        print(os.waitstatus_to_exitcode(status), seconds, used.ru_maxrss, file=answers, flush=True)


def hide(packages: Sequence[str]) -> None:
    """Let this process find none of these packages."""

    class Base(PathFinder):
        @classmethod
        def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
            return None if name.partition(".")[0] in packages else super().find_spec(name, path, target)

    sys.meta_path[sys.meta_path.index(PathFinder)] = Base


def _command(order: dict[str, Any]) -> None:
    """Be the command: never returns."""
    code = 1
    try:
        os.setsid()
        _redirect(0, os.devnull, os.O_RDONLY)
        for number, ending in ((1, "out"), (2, "err")):
            _redirect(number, f"{order['said']}.{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        sys.stdin = open(os.devnull)  # noqa: SIM115
        os.chdir(order["cwd"])
        os.environ.update(order["env"])
        sys.executable = os.environ.get("NEUROPROMPT_CELL", sys.executable)  # see cheap_cells.py
        for name, value in order["limits"].items():
            kind = getattr(resource, name)
            resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))
        sys.argv = ["neuroprompt", *order["words"]]
        from neuroprompt.cli import main as command

        command()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _redirect(number: int, file: str, flags: int) -> None:
    opened = os.open(file, flags, 0o644)
    os.dup2(opened, number)
    os.close(opened)


if __name__ == "__main__":
    main()
