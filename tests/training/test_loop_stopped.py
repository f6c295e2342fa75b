"""Training that is killed or interrupted ends with the same bits; it does not go on with other data or settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import Stop, config, learned, same

from neuroprompt.errors import BadCheckpoint
from neuroprompt.training.loop import train
from neuroprompt.training.run_folder import Run


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(config(), tmp_path_factory.mktemp("runs") / "unbroken", accelerator="cpu")


def test_another_configuration_is_refused(unbroken: Run) -> None:
    with pytest.raises(BadCheckpoint, match=r"another lr: 0\.01 there, 0\.5 here.*--out"):
        train(config(lr=0.5), unbroken.folder, accelerator="cpu")


KILLED = """
import os, sys
import torch
from neuroprompt.training.loop import train
import tiny_runs
torch.set_num_threads(1)
out, *deaths = sys.argv[1:]

def until(how):
    if how == "write":
        # Die when a file is written beside the old one, but not renamed yet.
        real, count = os.fsync, [0]
        def fsync(number):
            count[0] += 1
            os.kill(os.getpid(), 9) if count[0] == 3 else real(number)
        os.fsync = fsync
        train(tiny_runs.config(), out, accelerator="cpu", checkpoint_seconds=0)
    else:
        what, batch = how.split(",")
        train(tiny_runs.config(), out, tiny_runs.Stop(what, int(batch), 9), accelerator="cpu", checkpoint_seconds=0)

for how in deaths:  # a process each, with what was imported once
    child = os.fork()
    if child == 0:
        try:
            until(how)
        finally:
            os._exit(1)
    left = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(left, os.path.isfile(os.path.join(out, "state.safetensors")))
"""


def kill(out: Path, *deaths: str) -> None:
    """Train in a child process until a SIGKILL, again and again."""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (here, here.parent / "helpers")))}
    command = [sys.executable, "-c", KILLED, str(out), *deaths]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert [line for line in done.stdout.splitlines() if line[:1] == "-"] == [f"-{signal.SIGKILL:d} True"] * len(deaths)


def test_a_run_killed_again_and_again_ends_with_the_same_bits(unbroken: Run, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    kill(out, "epoch 1,1", "write")
    finished = train(config(), out, accelerator="cpu")
    assert same(learned(out), learned(unbroken.folder))
    assert finished.metrics.history == unbroken.metrics.history
    assert sorted(p.name for p in out.iterdir()) == ["metrics.json", "prompt.safetensors", "run.json"]


@pytest.mark.parametrize(("what", "batch"), [("epoch 1", 1), ("epoch 2", 2), ("validation", 0)])
def test_ctrl_c_leaves_a_checkpoint_and_the_result_is_the_same(
    what: str, batch: int, unbroken: Run, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train(config(), out, Stop(what, batch, signal.SIGINT), accelerator="cpu")
    assert (out / "state.safetensors").is_file()
    assert Run.load(out).metrics.finished is False
    train(config(), out, accelerator="cpu")
    assert same(learned(out), learned(unbroken.folder))


def test_begin_again_on_request(unbroken: Run, tmp_path: Path) -> None:
    out = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        train(config(lr=0.3), out, Stop("epoch 1", 1, signal.SIGINT), accelerator="cpu")
    with pytest.raises(BadCheckpoint):
        train(config(), out, accelerator="cpu")
    train(config(), out, accelerator="cpu", resume=False)
    assert same(learned(out), learned(unbroken.folder))


def test_sgd_goes_on_with_its_momentum(tmp_path: Path) -> None:
    wanted = config("linear", optimiser="sgd", epochs=3)
    train(wanted, tmp_path / "unbroken", accelerator="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(wanted, tmp_path / "stopped", Stop("epoch 2", 1, signal.SIGINT), accelerator="cpu")
    train(wanted, tmp_path / "stopped", accelerator="cpu")
    assert same(learned(tmp_path / "stopped"), learned(tmp_path / "unbroken"))


def test_an_unfinished_state_of_changed_data_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with pytest.raises(KeyboardInterrupt):
        train(config("linear"), out, Stop("epoch 1", 1, signal.SIGINT), accelerator="cpu")
    values = json.loads((out / "run.json").read_text())
    values["config"]["classes"][0] = "zero"
    (out / "run.json").write_text(json.dumps(values))
    with pytest.raises(BadCheckpoint, match="another classes"):
        train(config("linear"), out, accelerator="cpu")
