"""The C compiler of this machine, where it has one: a net is compiled, run against its self-test, and measured."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuroprompt.errors import ParityError

FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror")
SECONDS = 120
"""How long the compiler, and then the self-test, may take."""
COMPILERS = ("cc", "gcc", "clang")


@dataclass(frozen=True)
class Compiled:
    """What the self-test printed, and the bytes of net.o at -Os, by section, where this machine has `size`."""

    said: str
    text: int | None = None
    data: int | None = None
    bss: int | None = None

    def json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self)


def compiler() -> str | None:
    """The path of a C compiler, or None."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def compiled(folder: Path, prefix: str = "net") -> Compiled | None:
    """Compile the net in `folder` and run its self-test; None where there is no compiler. Raises ParityError."""
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
        return Compiled(said, *_sections(small))


def _sections(file: Path) -> tuple[int, ...]:
    size = shutil.which("size")
    if size is None:
        return ()
    done = subprocess.run([size, str(file)], capture_output=True, text=True, timeout=SECONDS, check=False)
    lines = done.stdout.splitlines()
    return tuple(int(word) for word in lines[1].split()[:3]) if done.returncode == 0 and len(lines) > 1 else ()


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
