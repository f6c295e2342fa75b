"""The C compiler of this machine, where it has one: a net is compiled, run against its self-test, and measured."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuroprompt.csource.selftest import RUNS
from neuroprompt.errors import ParityError

FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror")
SECONDS = 120
"""How long the compiler, and then the self-test, may take."""
COMPILERS = ("cc", "gcc", "clang")


@dataclass(frozen=True)
class Compiled:
    """What the self-test printed, and what net.c at -Os takes on this `machine`, where that can be measured.

    text, data, bss   bytes of net.o by section, where this machine has `size`
    instructions      that net_step executes, the mean over the steps of the self-test, where it has `valgrind`
    """

    said: str
    text: int | None = None
    data: int | None = None
    bss: int | None = None
    instructions: float | None = None
    machine: str = platform.machine()

    def json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self)


def compiler() -> str | None:
    """The path of a C compiler, or None."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def compiled(folder: Path, steps: int, prefix: str = "net") -> Compiled | None:
    """Compile the net in `folder` and run its self-test of `steps`; None without a compiler. Raises ParityError."""
    program = compiler()
    if program is None:
        return None
    net, test = folder / f"{prefix}.c", folder / "selftest.c"
    with tempfile.TemporaryDirectory(prefix="np-") as name:
        built = Path(name) / "selftest"
        _run([program, *FLAGS, str(net), str(test), "-o", str(built)], "a net that compiles")
        said = _run([str(built)], "the spikes of the emulator")
        small = Path(name) / "net.o"
        _run([program, *FLAGS, "-Os", "-c", str(net), "-o", str(small)], "a net that compiles")
        text, data, bss = _sections(small)
        _run([program, *FLAGS, "-Os", str(small), str(test), "-I", str(folder), "-o", str(built)], "a net that links")
        return Compiled(said, text, data, bss, _instructions(built, prefix, steps))


def _instructions(built: Path, prefix: str, steps: int) -> float | None:
    """Of a step, counted by valgrind's callgrind while it runs the self-test; None where it cannot say."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    counts = built.with_suffix(".callgrind")
    options = ["--tool=callgrind", f"--toggle-collect={prefix}_step", f"--callgrind-out-file={counts}"]
    try:
        done = subprocess.run(
            [valgrind, *options, str(built)],
            capture_output=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return None
    lines = counts.read_text().splitlines() if done.returncode == 0 and counts.exists() else []
    total = next((int(line.split()[1]) for line in lines if line.startswith("summary:")), 0)
    return total / (RUNS * steps) or None


def _sections(file: Path) -> tuple[int | None, int | None, int | None]:
    size = shutil.which("size")
    if size is None:
        return None, None, None
    done = subprocess.run([size, str(file)], capture_output=True, text=True, timeout=SECONDS, check=False)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) < 2:
        return None, None, None
    text, data, bss = (int(word) for word in lines[1].split()[:3])
    return text, data, bss


def _run(command: list[str], expected: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise ParityError(f"{command[0]} took more than {SECONDS} s", expected) from error
    if done.returncode != 0:
        words = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        worst = next((line for line in words if "error" in line.lower()), words[0] if words else "")
        raise ParityError(f"the net in C: {worst or f'exit code {done.returncode}'}", expected)
    return done.stdout.strip()
