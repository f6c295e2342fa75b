"""Worker processes whose trainer ends while they begin say nothing; tests/training/test_feed.py has those that work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked from a server on Linux only")

STARTS = """
import os, pickle, signal, sys, time
from multiprocessing import forkserver
from pathlib import Path
from neuroprompt.training.workers import context

context("imports_slowly")
while not Path("importing").exists():
    time.sleep(0.01)
"""
IMPORTS = """
import time
from pathlib import Path
Path("importing").touch()
time.sleep({})
"""
CTRL_C = "os.kill(forkserver._forkserver._forkserver_pid, signal.SIGINT)"
BEGIN = """
for words in (b"", pickle.dumps(list(range(50)))[:-9]):
    ended, begun = forkserver.connect_to_new_process([])
    os.write(begun, words)
    os.close(begun)
    os.read(ended, 1)
print("began and ended twice")
"""
ERRORS = """
from neuroprompt.training.worker_server import quietly
for error in (ConnectionResetError("gone"), BrokenPipeError("gone"), EOFError("gone"), ValueError("a mistake")):
    quietly(type(error), error, None)
"""


def started(folder: Path, *words: str, imports: float) -> tuple[int, str, str]:
    """Exit code, output and errors of a trainer that does `words` while its server imports for so many seconds."""
    (folder / "starts.py").write_text("\n".join([STARTS, *words]))
    (folder / "imports_slowly.py").write_text(IMPORTS.format(imports))
    command = [sys.executable, "starts.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_neither_ctrl_c_nor_a_trainer_that_is_gone_makes_a_traceback(tmp_path: Path) -> None:
    """Ctrl-C falls into the imports of the server; then a worker hears nothing of its trainer, and one half of it."""
    assert started(tmp_path, CTRL_C, BEGIN, imports=0.5) == (0, "began and ended twice\n", "")


def test_a_server_that_imports_ends_with_its_trainer(tmp_path: Path) -> None:
    """Else its output would stay open until its imports are done."""
    code, said, errors = started(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)", imports=300)
    assert (code, said, "Traceback" in errors) == (-9, "", False)


def test_a_worker_prints_its_own_errors_alone(tmp_path: Path) -> None:
    assert started(tmp_path, ERRORS, imports=0) == (0, "", "ValueError: a mistake\n")
