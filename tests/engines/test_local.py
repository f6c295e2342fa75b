"""Tasks as child processes: how they end, what they inherit, and that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from neuroprompt.contracts.work import Engine, Resources, Task
from neuroprompt.engines import _child
from neuroprompt.errors import BadData, BadSetting, CannotWrite
from neuroprompt.locks import one_writer

PROC = Path("/proc")
needs_proc = pytest.mark.skipif(not (PROC / "self/environ").exists(), reason="processes are counted in /proc")
TRAIN = ("train", "--random-weights", "--image-size", "16", "--limit", "40", "--device", "cpu")


def task(folder: Path, *words: str, makes: Path | None = None, name: str = "task") -> Task:
    """A task whose log is what it makes, unless another file is."""
    log = folder / f"{name}.log"
    return Task(name, words, makes or log, log, folder / name)


def errors(tasks: list[Task], **resources: float) -> dict[str, str]:
    ran = Engine.named("local").run(tasks, Resources(**resources))  # type: ignore[arg-type]
    return {ended.task.name: ended.error for ended in ran}


def test_a_failed_task_stops_no_other(tmp_path: Path) -> None:
    found = errors(
        [
            task(tmp_path, "doctor", "--no-such-option", name="wrong"),
            task(tmp_path, "export", "no-such.nir", "--target", "lava", "--out", str(tmp_path / "x"), name="missing"),
            task(tmp_path, "--version", name="right"),
            task(tmp_path, "--version", name="elsewhere", makes=tmp_path / "nothing"),
        ]
    )
    assert found["right"] == ""
    assert found["wrong"]
    assert "no-such.nir" in found["missing"]
    assert not found["missing"].startswith("error")
    assert found["elsewhere"] == f"ended well, but {tmp_path / 'nothing'} is not there"
    assert (tmp_path / "right.log").read_text().startswith("$ neuroprompt --version\nneuroprompt ")


def test_a_log_is_added_to(tmp_path: Path) -> None:
    again = task(tmp_path, "--version")
    assert errors([again]) == errors([again]) == {"task": ""}
    assert again.log.read_text().count("$ neuroprompt --version") == 2


def test_a_task_has_a_time_limit(tmp_path: Path) -> None:
    long = task(tmp_path, *TRAIN, "--epochs", "100000", "--out", str(tmp_path / "task"))
    assert errors([long], hours=0.5 / 3600) == {"task": "did not end within its time limit of 0.000138889 hours"}


@pytest.mark.parametrize("path", ["relative", "missing"])
def test_paths_are_checked_before_the_first_task(path: str, tmp_path: Path) -> None:
    reads = Path("images") if path == "relative" else tmp_path / "images"
    wrong = Task("task", ("--version",), tmp_path / "log", tmp_path / "log", tmp_path / "task", (reads,))
    with pytest.raises(BadData, match="absolute" if path == "relative" else "is not there"):
        errors([task(tmp_path, "--version", name="first"), wrong])
    assert not (tmp_path / "first.log").exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite):
        errors([task(tmp_path / "file" / "inside", "--version")])


def test_a_task_has_its_threads_and_is_no_process_of_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_NTASKS", "TORCHELASTIC_RUN_ID", "WORLD_SIZE", "LOCAL_RANK", "NEUROPROMPT_CACHE"):
        monkeypatch.setenv(name, "4")
    has = _child.environment(2, {"CUDA_VISIBLE_DEVICES": "1"})
    assert has["OMP_NUM_THREADS"] == has["MKL_NUM_THREADS"] == "2"
    assert has["NEUROPROMPT_CACHE"] == "4"
    assert has["CUDA_VISIBLE_DEVICES"] == "1"
    assert not [name for name in has if name.startswith(("SLURM", "TORCHELASTIC"))]
    assert not _child.RANKS & has.keys()


@pytest.mark.parametrize(
    ("resources", "visible"),
    [
        (Resources(at_once=2, gpus=2), ["0,1", "2,GPU-abc"]),
        (Resources(gpus=1), ["0", "1", "2", "GPU-abc"]),
        (Resources(gpus=0, at_once=1), [""]),
        (Resources(at_once=1), [None]),
    ],
)
def test_each_task_at_once_has_gpus_of_its_own(
    resources: Resources, visible: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuroprompt.engines import local

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,GPU-abc")
    assert [share.get("CUDA_VISIBLE_DEVICES") for share in local._shares(resources)] == visible


def test_too_few_gpus_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(BadSetting, match="1 GPUs for 1 tasks with 2 each"):
        errors([task(tmp_path, "--version")], gpus=2)


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"gpus": -1}, {"at_once": 0}, {"hours": 0}, {"hours": float("nan")}])
def test_resources_of_no_size_are_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(BadSetting):
        Resources(**wrong)  # type: ignore[arg-type]


def test_a_retry_waits_for_the_end_of_the_earlier_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the death of a machine: its processes may live a little longer than it answers."""
    monkeypatch.setattr(_child, "FREE_SECONDS", 0.5)
    wanted = task(tmp_path, "--version")
    began = time.monotonic()
    with one_writer(wanted.writes):
        assert _child.run_child(wanted, Resources()) == ""
    assert time.monotonic() - began > 0.5


# --- nothing outlives its parent -------------------------------------------------------------------------------------

PARENT = """
import sys
from pathlib import Path
from neuroprompt.contracts.work import Engine, Resources, Task
folder = Path(sys.argv[1])
task = Task("task", tuple(sys.argv[2:]), folder / "run.json", folder / "log", folder / "task")
for ended in Engine.named("local").run([task], Resources()):
    print(ended.error)
"""


def living(mark: str) -> list[int]:
    """Processes that inherited the mark and run the command."""
    pids = []
    for folder in PROC.iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                pids.append(int(folder.name))
        except OSError:
            continue
    return [pid for pid in pids if pid != os.getpid()]


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@needs_proc
def test_tasks_die_with_a_killed_parent(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    words = [*TRAIN, "--epochs", "100000", "--out", str(tmp_path / "task")]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *words], env={**os.environ, "NEUROPROMPT_TEST_MARK": mark}
    )
    until((tmp_path / "task" / "run.json").exists)
    assert len(living(mark)) >= 3  # the parent, the watchdog and the training
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not living(mark), 10)


@needs_proc
def test_closing_ends_the_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = uuid.uuid4().hex
    monkeypatch.setenv("NEUROPROMPT_TEST_MARK", mark)
    long = task(tmp_path, *TRAIN, "--epochs", "100000", "--out", str(tmp_path / "task"))
    with closing(Engine.named("local").run([task(tmp_path, "--version", name="a"), long], Resources(at_once=2))) as ran:
        assert next(ran).task.name == "a"
        assert living(mark)
    assert not living(mark)
