"""Two processes train what one trains, on one machine and on two: Lightning Fabric's DDP, through the command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from float_bounds import of_training
from in_turn import exit_code
from one_maker import made_once
from safetensors.torch import load_file

from neuroprompt.errors import BadSetting
from neuroprompt.training.devices import LAUNCHED, launch

WORDS = "train --random-weights --image-size 16 --limit 21 --epochs 2 --batch 8 --tokens 2 --optimiser sgd --device cpu"
OPTIONS = ("--strategy", "ddp", "--lr", "0.05")
SCRIPT = str(Path(sys.executable).with_name("neuroprompt"))


def in_two(folder: Path, method: str) -> dict[str, torch.Tensor]:
    """What two processes train, started as the script itself: the other one is started by its name."""
    words = [*WORDS.split(), *OPTIONS, "--method", method, "--devices", "2"]
    done = subprocess.run([SCRIPT, *words, "--out", folder], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return load_file(folder / "prompt.safetensors")


def in_one(folder: Path, method: str, lr: str) -> dict[str, torch.Tensor]:
    """What one process trains: this one, which has imported all of it."""
    assert exit_code(*WORDS.split(), "--method", method, "--lr", lr, "--out", folder) == 0
    return load_file(folder / "prompt.safetensors")


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, torch.Tensor]]:
    """What one node of two processes trains, by the method; each is trained once for all tests."""

    def trained(method: str) -> dict[str, torch.Tensor]:
        folder = made_once(tmp_path_factory, f"ddp-{method}", lambda made: in_two(made / "run", method))
        return load_file(folder / "run" / "prompt.safetensors")

    return trained


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spike-nvpt", "vpt-deep"])
def test_two_processes_train_what_one_trains(
    method: str, two_processes: Callable[[str], dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    """An odd last row leaves one process without an image; the sum over images must still be the same."""
    before = in_one(tmp_path / "before", method, "1e-30")
    one, two = in_one(tmp_path / "one", method, "0.05"), two_processes(method)
    assert one.keys() == two.keys()
    for name, value in one.items():
        limit = of_training(before[name], value, steps=6)
        assert float((two[name] - value).abs().max()) <= limit, name
        # One image of a batch of 8 that is lost or counted twice would show.
        assert limit < float((value - before[name]).abs().max()) / 50, name


def node(launcher: str, rank: int, port: int) -> tuple[list[str], dict[str, str]]:
    """How one of two nodes is started, each with one process: the words before `train`, and the environment."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if launcher == "torchrun":
        words = ["--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(rank)]
        words += ["--master-addr", "127.0.0.1", "--master-port", str(port), "-m", "neuroprompt"]
        return [sys.executable, "-m", "torch.distributed.run", *words], {}
    if launcher == "srun":  # what Slurm writes for `srun --nodes 2 --ntasks-per-node 1`
        job = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "127.0.0.1"}
        size = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2"}
        place = {"SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank), "SLURM_LOCALID": "0"}
        return [SCRIPT], {**job, **size, **place, **address}
    return [SCRIPT], {"NODE_RANK": str(rank), **address}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["by hand", "torchrun", "srun"])
def test_two_nodes_of_one_train_what_one_node_of_two_trains(
    launcher: str, two_processes: Callable[[str], dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    """The same processes and the same sums, so that every bit is the same; and one of them alone prints a result."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = []
    for rank in range(2):
        words, environment = node(launcher, rank, port)
        more = ("--method", "vpt-deep", "--nodes", "2", "--json", "--out", str(tmp_path / "nodes"))
        words += [*WORDS.split(), *OPTIONS, *more]
        nodes.append(
            subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
            )
        )
    said = [child.communicate(timeout=300) for child in nodes]
    assert [child.returncode for child in nodes] == [0, 0], said
    assert [bool(out) for out, _ in said] == [True, False]
    found, wanted = load_file(tmp_path / "nodes" / "prompt.safetensors"), two_processes("vpt-deep")
    assert found.keys() == wanted.keys()
    assert [name for name, value in wanted.items() if not torch.equal(found[name], value)] == []


@pytest.mark.parametrize("nodes", [0, 2])
def test_nodes_that_nobody_started_are_one_line(nodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadSetting, match=f"^(nodes {nodes}|{nodes} nodes)"):
        launch("cpu", 1, "auto", "32-true", nodes)
