"""Worker processes whose trainer ends while they begin say nothing; tests/training/test_feed.py has those that work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STARTS = """
import os, pickle, signal, sys, time
from multiprocessing import forkserver
from pathlib import Path
from neuroprompt.training.workers import context

context("imports_slowly")
while not Path("importing").exists():
    time.sleep(0.01)
os.kill(forkserver._forkserver._forkserver_pid, signal.SIGINT)
for words in (b"", pickle.dumps(list(range(50)))[:-9]):
    ended, begun = forkserver.connect_to_new_process([])
    os.write(begun, words)
    os.close(begun)
    os.read(ended, 1)
print("began and ended twice")
"""
IMPORTS_SLOWLY = """
import time
from pathlib import Path
Path("importing").touch()
time.sleep(0.5)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked from a server on Linux only")
def test_neither_ctrl_c_nor_a_trainer_that_is_gone_makes_a_traceback(tmp_path: Path) -> None:
    """Ctrl-C falls into the imports of the server; then a worker hears nothing of its trainer, and one half of it."""
    (tmp_path / "starts.py").write_text(STARTS)
    (tmp_path / "imports_slowly.py").write_text(IMPORTS_SLOWLY)
    done = subprocess.run(
        [sys.executable, "starts.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "began and ended twice\n", "")
