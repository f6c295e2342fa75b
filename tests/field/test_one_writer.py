"""Two commands that write into one folder: the second says who is there; a dead writer keeps nobody out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from in_turn import exit_code

from neuroprompt.errors import CannotWrite
from neuroprompt.locks import one_writer

HOLDER = """
import sys, time
from pathlib import Path
from neuroprompt.locks import one_writer
with one_writer(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes to `folder` until its stdin ends."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "in\n"
        yield child
        if child.poll() is None:
            child.communicate()


def test_the_second_writer_is_told_who_is_there(tmp_path: Path) -> None:
    with held(tmp_path / "run") as child:
        with pytest.raises(CannotWrite, match=rf"another process \({child.pid}\) writes to .*run"):
            one_writer(tmp_path / "run").__enter__()
        with one_writer(tmp_path / "other"):
            pass
    with one_writer(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_writer_keeps_nobody_out(number: signal.Signals, tmp_path: Path) -> None:
    with held(tmp_path / "run") as child:
        child.send_signal(number)
        child.wait()
        with one_writer(tmp_path / "run"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_one_of_many_threads_is_in_at_a_time(tmp_path: Path) -> None:
    inside, most, entered = [], [0], [0]

    def enter() -> None:
        mine = 0
        while mine < 25:  # each gets in again and again, whoever was in before
            try:
                with one_writer(tmp_path / "run"):
                    inside.append(1)
                    most[0] = max(most[0], len(inside))
                    entered[0] += 1
                    mine += 1
                    inside.pop()
            except CannotWrite:
                time.sleep(1e-4)

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert entered[0] == 8 * 25
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_where_nothing_may_be_written_beside_it_the_folder_itself_is_locked(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    tmp_path.chmod(0o500)
    try:
        with held(tmp_path / "run"), pytest.raises(CannotWrite, match="another process"):
            one_writer(tmp_path / "run").__enter__()
        assert list((tmp_path / "run").iterdir()) == []
    finally:
        tmp_path.chmod(0o700)


def test_two_trainings_into_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second is one line with exit code 2, and the first ends as if alone."""
    out = tmp_path / "run"
    words = "train --random-weights --image-size 16 --limit 20 --epochs 2 --batch 8 --tokens 2 --device cpu --out"
    command = [*words.split(), str(out)]
    with held(out) as child:
        assert exit_code(*command) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert f"another process ({child.pid}) writes to {out}" in line
        assert not out.exists()
    assert exit_code(*command) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "learning-curve.svg",
        "metrics.json",
        "prompt.safetensors",
        "run.json",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
