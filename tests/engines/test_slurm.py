"""Jobs of a real Slurm on this machine: a run goes on after a requeue, and after the death of who waits for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from in_turn import exit_code
from safetensors.torch import load_file
from sharded import answers, graph_and_items

from neuroprompt.bundles.shards import Split
from neuroprompt.contracts.work import Engine, Resources, Task
from neuroprompt.engines._child import run_child
from neuroprompt.engines._paths import missing_here
from neuroprompt.engines.slurm import Job, _said
from neuroprompt.errors import RuntimeMissing

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
CONFIGURATION = Path(__file__).with_name("slurm.conf")


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout


def free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A controller and a node of two cores; root alone may start them, and Debian's packages bring them."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if find_spec("submitit") is None:
        pytest.skip("submitit is not installed (the extra 'slurm')")
    if any(shutil.which(name, path=path) is None for name in PROGRAMS):
        pytest.skip("no Slurm (apt-get install slurmctld slurmd slurm-client munge)")
    if os.geteuid() != 0:
        pytest.skip("only root can start slurmd")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(mode=0o700)
    munge = folder / "munge"
    (munge / "key").write_bytes(os.urandom(256))
    (munge / "key").chmod(0o400)
    text = (
        CONFIGURATION.read_text().replace("FOLDER", str(folder)).replace("HOST", socket.gethostname().partition(".")[0])
    )
    for i, port in enumerate(free_ports()):
        text = text.replace(f"PORT{i}", str(port))
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        try:
            said("munged", "--force", *(f"--{option}={munge / name}" for option, name in places.items()))
            for program in ("slurmctld", "slurmd"):
                said(program, "-f", str(folder / "slurm.conf"))
            until(lambda: "idle" in said("sinfo", "--noheader", "--format=%T"), 30)
            yield
            said("scancel", "--me")
            until(lambda: not said("squeue", "--noheader"))  # else the steps of a job would outlive slurmd
        finally:
            for file in (folder / "slurmd.pid", folder / "slurmctld.pid", munge / "pid"):
                with suppress(OSError, ValueError):
                    os.kill(int(file.read_text()), signal.SIGTERM)


def task(folder: Path, name: str, *words: str) -> Task:
    run = folder / name
    out = words or ("--version",)
    return Task(name, out, run / "metrics.json" if words else folder / f"{name}.log", folder / f"{name}.log", run)


SMALL = ("--random-weights", "--image-size", "16", "--limit", "40", "--device", "cpu", "--method", "linear")


def training(folder: Path) -> Task:
    run = folder / "run"
    return task(folder, "run", "train", *SMALL, "--epochs", "80", "--out", str(run))


WAITING = """
import sys
from pathlib import Path
from neuroprompt.contracts.work import Engine, Resources, Task
makes, log, run, *words = sys.argv[1:]
list(Engine.named("slurm").run([Task("run", tuple(words), Path(makes), Path(log), Path(run))], Resources()))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_a_run_goes_on_after_a_requeue_and_after_the_death_of_who_waits(tmp_path: Path) -> None:
    """Slurm sends this signal before a time limit. Its two minutes before a requeued job are skipped."""
    (tmp_path / "local").mkdir()
    local = training(tmp_path / "local")
    beside = ThreadPoolExecutor(1).submit(run_child, local, Resources())
    wanted = training(tmp_path)
    places = map(str, (wanted.makes, wanted.log, wanted.writes))
    waiting = subprocess.Popen([sys.executable, "-c", WAITING, *places, *wanted.words])
    until((wanted.writes / "state.safetensors").exists)
    waiting.kill()
    waiting.wait()
    job = said("squeue", "--noheader", "--format=%A").split()[0]
    said("scancel", "--signal=USR2", job)

    def again() -> bool:
        if "BeginTime" in said("squeue", "--noheader", "--format=%r"):
            subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=False, capture_output=True)
        time.sleep(1)
        return wanted.log.read_text().count("$ neuroprompt train") == 2

    until(again)
    assert [ended.error for ended in Engine.named("slurm").run([wanted], Resources())] == [""]
    log = wanted.log.read_text()
    assert log.count("$ neuroprompt train") == 2
    assert "going on from epoch" in log
    assert beside.result() == ""
    ours, theirs = (load_file(of.writes / "prompt.safetensors") for of in (wanted, local))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


UNSTEADY = """#!/bin/sh
echo asked >> {count}
[ "$(wc -l < {count})" = 2 ] && {{ echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }}
exec {squeue} "$@"
"""


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_a_failed_job_stops_no_other_and_closing_cancels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though Slurm gives no answer now and then, as while its controller restarts."""
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text(UNSTEADY.format(squeue=shutil.which("squeue"), count=tmp_path / "count"))
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:{os.environ['PATH']}")
    wrong = task(tmp_path, "wrong", "export", "no-such.nir", "--target", "lava", "--out", str(tmp_path / "x"))
    gone = Task("gone", ("--version",), tmp_path / "log", tmp_path / "log", tmp_path / "gone", (tmp_path / "images",))
    (tmp_path / "images").touch()
    with closing(Engine.named("slurm").run([task(tmp_path, "right"), wrong, gone], Resources())) as ran:
        found = {ended.task.name: ended.error for ended in ran}
    assert (found["right"], found["gone"]) == ("", "")
    assert "no-such.nir" in found["wrong"]
    assert len((tmp_path / "count").read_text().split()) > 2
    long = training(tmp_path)
    with closing(Engine.named("slurm").run([task(tmp_path, "first"), long], Resources())) as ran:
        assert next(ran).task.name == "first"
    until(lambda: not said("squeue", "--noheader"), 30)
    assert (
        not (long.writes / "metrics.json").exists() or '"finished": false' in (long.writes / "metrics.json").read_text()
    )


def test_a_node_that_does_not_see_a_path_says_so(tmp_path: Path) -> None:
    """What a job does on its node; the command itself never starts there."""
    reads = (tmp_path / "images",)
    wanted = Task("a", ("--version",), tmp_path / "a.log", tmp_path / "a.log", tmp_path / "a", reads)
    Job()(wanted, Resources())
    assert f"does not see {tmp_path / 'images'}; expected storage that all nodes share" in (_said(wanted) or "")
    assert not wanted.log.exists()


def test_no_code_is_sent_to_a_node(tmp_path: Path) -> None:
    """Functions go by their names, as submitit and Ray pickle them: a node runs its own version, not a stale one."""
    cloudpickle = pytest.importorskip("cloudpickle", reason="comes with submitit and Ray")
    sent = cloudpickle.dumps((Job(), run_child, missing_here, task(tmp_path, "a"), Resources()))
    assert b"cloudpickle" not in sent
    assert b"cloudpickle" in cloudpickle.dumps(lambda: tmp_path)  # as one that goes by its code


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_a_data_set_in_shards_is_that_of_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`run`, `verify` and `eval`."""
    graph_and_items(tmp_path)
    shards = Split(Engine.named("slurm"), 2, tmp_path / "work")
    assert answers(tmp_path, shards) == answers(tmp_path)
    run = tmp_path / "run"
    assert exit_code("train", *SMALL, "--epochs", "1", "--out", run) == 0

    def evaluated(*more: object) -> object:
        capsys.readouterr()
        assert exit_code("eval", run, *more, "--json") == 0
        return json.loads(capsys.readouterr().out)

    split = ("--engine", "slurm", "--shards", "2", "--work", tmp_path / "eval")
    assert evaluated(*split) == evaluated()
    assert len(list((tmp_path / "eval").glob("*/shard.npz"))) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_a_job_that_is_killed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that Slurm ends for want of memory."""
    monkeypatch.setattr("neuroprompt.engines.slurm.UNSEEN_SECONDS", 1.0)
    long = task(tmp_path, "long", "train", *SMALL, "--epochs", "1000", "--out", str(tmp_path / "long"))
    ran = ThreadPoolExecutor(1).submit(list, Engine.named("slurm", memory="100").run([long], Resources()))
    until(long.log.is_file)
    (job,) = said("squeue", "--noheader", "--format=%A").split()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = file.read_bytes()
            if b"submitit" in words and str(tmp_path).encode() in words and b"srun" not in words:
                os.kill(int(file.parent.name), signal.SIGKILL)
    (ended,) = ran.result()
    assert "\n" not in ended.error
    assert f"job {job} ended: " in ended.error
    assert "Killed" in ended.error


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_a_partition_that_is_not_there_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeMissing, match="Slurm does not take the job") as refused:
        list(Engine.named("slurm", partition="no-such").run([task(tmp_path, "a")], Resources()))
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().err == ""
