"""Runtimes of their own for targets whose pins do not fit ours: built with uv, run as a guarded child process."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from neuroprompt.errors import RuntimeMissing, WorkerFailed
from neuroprompt.extras import install
from neuroprompt.files import cache_folder
from neuroprompt.processes import end_group, guarded, what_happened
from neuroprompt.progress import SILENT, Progress
from neuroprompt.scratch import scratch_folder

WORKERS = Path(__file__).parents[1] / "workers"
BUILD_SECONDS = 900
PROBE_SECONDS = 30
EXACTLY = ("--no-deps", "--require-hashes")
"""How uv installs pins: nothing else, and only files whose SHA-256 stands there."""


@dataclass(frozen=True)
class Runtime:
    """A Python of another version with exact pins, in a folder of the cache named by a hash of both.

    `requirements` must be complete: every package of the environment with its exact version, and the SHA-256 of its
    files, which are checked when they are fetched. `whole` is false where some packages are left out on purpose,
    because what needs them is not used.
    """

    name: str
    python: str
    requirements: Path
    whole: bool = field(default=True, kw_only=True)

    @property
    def folder(self) -> Path:
        """Where it stands, built or not."""
        pins = "\n".join(sorted(" ".join(self.pins).split()))
        key = hashlib.sha256(f"{pins}\n{self.python} {sys.platform} {platform.machine()}".encode()).hexdigest()[:16]
        return cache_folder() / "runtimes" / f"{self.name}-{key}"

    @property
    def executable(self) -> Path:
        """Its Python."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def built(self) -> bool:
        """Whether it stands whole; false too where the Python under it was removed since."""
        return self.executable.exists()

    @property
    def how(self) -> str:
        """How its packages come, for a person."""
        return f"own Python {self.python}"

    @property
    def options(self) -> tuple[str, ...]:
        """Of its Python: bytecode of another version beside our files would outlive their uninstallation."""
        return ("-X", f"pycache_prefix={self.folder / 'pycache'}")

    def pinned(self, package: str) -> str:
        """The version of one of its packages."""
        return dict(pin.partition(";")[0].strip().split("==") for pin in self.pins)[package]

    @property
    def pins(self) -> list[str]:
        """Its packages, name==version with the platforms where one is for some only; without the files' hashes."""
        lines = self.requirements.read_text().splitlines()
        return [line.rstrip("\\").strip() for line in lines if line and not line.startswith((" ", "#"))]

    @property
    def variable(self) -> str:
        """The environment variable that names the interpreter to build it on."""
        return f"NEUROPROMPT_{self.name.upper().replace('-', '_')}_PYTHON"

    def interpreter(self, install: bool = False) -> Path:
        """A Python of the asked version that really starts; with `install`, uv may fetch one. Raises RuntimeMissing."""
        asked = os.environ.get(self.variable)
        if asked and not _starts(Path(asked), self.python):
            got = f"{self.variable}={asked} does not start as Python {self.python}"
            raise RuntimeMissing(got, f"the path of a python{self.python}")
        for candidate in [Path(asked)] if asked else self._candidates(install):
            if _starts(candidate, self.python):
                return candidate
        raise RuntimeMissing(
            f"no Python {self.python} was found, which {self.name} needs",
            f"python{self.python} on PATH, or its path in {self.variable}",
            f"get one with '{sys.executable} -m uv python install {self.python}'",
        )

    def build(self, progress: Progress = SILENT) -> None:
        """Build it where it is not built; safe beside other builders. Raises RuntimeMissing."""
        if self.built:
            return
        python = self.interpreter(install=True)
        home = self.folder.parent
        with ExitStack() as stack:
            try:
                new = stack.enter_context(scratch_folder(home, self.name))
            except OSError as error:
                raise RuntimeMissing(
                    f"cannot write {home} ({error.strerror})", "a writable NEUROPROMPT_CACHE"
                ) from error
            progress.say(f"building the runtime {self.name} (Python {self.python})")
            self._fill(new, python)
            self._settle(new)

    def _fill(self, new: Path, python: Path) -> None:
        self._uv("venv", "--python", str(python), "--no-project", "--allow-existing", str(new))
        self._uv("pip", "install", *EXACTLY, "--python", str(new), "-r", str(self.requirements))
        if self.whole:
            self._uv("pip", "check", "--python", str(new))

    def run(self, script: Path, arguments: Sequence[str], timeout: float) -> str:
        """Run `script` for at most `timeout` seconds and give what it printed; raises RuntimeMissing, WorkerFailed.

        The child has a process group of its own, which is gone when this returns or raises, and also within seconds
        when this process is killed.
        """
        with tempfile.TemporaryDirectory(prefix="np-", ignore_cleanup_errors=True) as scratch:
            said, complained = Path(scratch) / "stdout", Path(scratch) / "stderr"
            with said.open("wb") as out, complained.open("wb") as err:
                child = self.start(script, arguments, Path(scratch), stdin=subprocess.DEVNULL, out=out, err=err)
            try:
                code = child.wait(timeout)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                end_group(child)
            if code != 0:
                complaint = complained.read_text(errors="replace")
                raise WorkerFailed(f"the {self.name} worker {what_happened(code, timeout, complaint)}")
            return said.read_text(errors="replace")

    def start(
        self, script: Path, arguments: Sequence[str], scratch: Path, *, stdin: int, out: int | IO[bytes], err: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start `script` in a process group of its own, for `end_group`; its temporary files go to `scratch`.

        The group is gone within seconds when this process is killed. Raises RuntimeMissing.
        """
        if not self.built:
            fix = f"run 'neuroprompt targets install {self.name}'"
            raise RuntimeMissing(f"the runtime of {self.name} is not built", "", fix)
        # -I: neither the script's folder nor the user's PYTHONPATH is searched for packages.
        # -W: else the last words after a failure are the resource tracker's.
        options = ["-I", "-W", "ignore:resource_tracker", *self.options]
        worker = [str(self.executable), *options, str(script), *arguments]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        return subprocess.Popen(
            guarded(worker, str(self.executable)),
            stdin=stdin,
            stdout=out,
            stderr=err,
            env=os.environ | one_thread | {"TMPDIR": str(scratch)},
            start_new_session=True,
        )

    def _candidates(self, install: bool) -> Iterator[Path]:
        program = f"python{self.python}"
        if on_path := shutil.which(program):
            yield Path(on_path)
        pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
        yield from sorted(pyenv.glob(f"versions/{self.python}.*/bin/{program}"), reverse=True)
        find = ("python", "find", "--no-project", "--no-python-downloads", self.python)
        if known_to_uv := self._uv(*find, must=False):
            yield Path(known_to_uv)
        if install and self._uv("python", "install", self.python, must=False) is not None:
            yield Path(self._uv(*find) or "")

    def _uv(self, *arguments: str, must: bool = True) -> str | None:
        """What uv printed; None where it failed and need not succeed. Raises RuntimeMissing."""
        try:
            done = _run_guarded([_uv_program(), *arguments], BUILD_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeMissing(f"uv cannot run ({error})", "the package uv", install("runtimes")) from error
        if done.returncode == 0:
            return done.stdout.strip()
        if not must:
            return None
        if mismatch := re.search(r"[Hh]ash mismatch for `([^`]+)`", done.stderr):
            got = f"the file that was fetched for {mismatch[1]} is not the pinned one: its SHA-256 differs"
            raise RuntimeMissing(got, f"a file of {self.requirements.name}", "check your package index or proxy")
        raise RuntimeMissing(f"'uv {' '.join(arguments[:2])}' failed for {self.name}: {_error(done.stderr)}")

    def _settle(self, new: Path) -> None:
        """Put a whole new folder in place; where another builder was first, keep theirs."""
        for _ in range(2):
            try:
                new.rename(self.folder)
                return
            except OSError:
                if self.built:
                    return
                # What stands there lost its Python: nobody can be running it.
                shutil.rmtree(self.folder, ignore_errors=True)
        raise RuntimeMissing(f"cannot replace {self.folder}", "a writable folder", "remove it and run again")


def _run_guarded(command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """subprocess.run with its output as text, of a child that ends with us; raises OSError, TimeoutExpired."""
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(f"{command[0]} is not there")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(
            guarded(command), stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        try:
            code = child.wait(seconds)
        finally:
            end_group(child)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
        return subprocess.CompletedProcess(command, code, *texts)


def _uv_program() -> str:
    """The uv of the extra `runtimes`, or one on PATH; raises FileNotFoundError, which is an OSError."""
    try:
        import uv
    except ModuleNotFoundError:
        return "uv"
    return str(uv.find_uv_bin())


def _starts(python: Path, version: str) -> bool:
    """Whether `python` runs and is of `version`; a pyenv shim may exist and not start."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-I", "-c", code], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _error(text: str) -> str:
    """What uv says after "error:", which it breaks over several lines."""
    return " ".join(text.rpartition("error:")[2].split()) or "it said nothing"
