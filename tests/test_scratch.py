"""Folders under construction: whatever kills their maker, nothing half-written and nothing left over."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from neuroprompt.files import whole_folder
from neuroprompt.scratch import scratch_folder

BUILDS = """
import sys, time
from pathlib import Path
from neuroprompt.files import whole_folder
with whole_folder(Path(sys.argv[1]), replaces="mark") as folder:
    (folder / "half").write_text("x")
    print("building", flush=True)
    time.sleep(60)
"""
REPLACES = """
import sys
from pathlib import Path
from neuroprompt.files import whole_folder
for i in range(10**6):
    with whole_folder(Path(sys.argv[1]), replaces="mark") as folder:
        for name in ("mark", "a", "b"):
            (folder / name).write_text(str(i))
    print(i, flush=True)
"""


def started(code: str, out: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_a_killed_builder_left_goes_with_the_next(number: int, tmp_path: Path) -> None:
    child = started(BUILDS, tmp_path / "out")
    left = next(tmp_path.iterdir())
    with whole_folder(tmp_path / "out", replaces="mark") as folder:
        assert left.is_dir(), "its maker lives"
        (folder / "mark").write_text("mine")
    child.send_signal(number)
    child.communicate()
    with whole_folder(tmp_path / "out", replaces="mark") as folder:
        assert not left.exists()
        (folder / "mark").write_text("mine again")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_the_users_own_with_a_like_name_stays(tmp_path: Path) -> None:
    (tmp_path / ".out-abcdefgh").mkdir()
    (tmp_path / ".out.neuroprompt-notes").mkdir()
    with scratch_folder(tmp_path, "out"):
        pass
    assert {file.name for file in tmp_path.iterdir()} == {".out-abcdefgh", ".out.neuroprompt-notes"}


def test_killed_while_it_replaces_a_folder_that_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(12):
        child = started(REPLACES, out)
        child.kill()
        child.communicate()
        values = {(out / name).read_text() for name in ("mark", "a", "b")}
        assert len(values) == 1
    with whole_folder(out, replaces="mark") as folder:
        (folder / "mark").write_text("end")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_many_builders_at_once_do_not_take_each_other_for_dead(tmp_path: Path) -> None:
    lost = []

    def build() -> None:
        for _ in range(50):
            with scratch_folder(tmp_path, "x") as folder:
                (folder / "file").write_text("x")
                if not (folder / "file").is_file():
                    lost.append(folder)

    threads = [threading.Thread(target=build) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    assert list(tmp_path.iterdir()) == []
