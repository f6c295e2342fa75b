"""Tasks on real Ray: two nodes on this machine, of which one is killed, and what each node must see beforehand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import sharded
import torch
from safetensors.torch import load_file
from sharded import answers, graph_and_items

from neuroprompt.contracts.work import Engine, Resources, Task
from neuroprompt.errors import RuntimeMissing

SMALL = ("--random-weights", "--image-size", "16", "--limit", "30", "--batch", "10", "--device", "cpu")
GRID = ("sweep", *SMALL, "--epochs", "20", "--grid", "method=linear,evp", "--seeds", "1", "--json")


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def started(out: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "neuroprompt", *GRID, *words, "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(*words: object) -> dict[str, Any]:
    """The JSON of a verb that ends well."""
    command = [sys.executable, "-m", "neuroprompt", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def ended(sweep: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=int(cores)) for cores in sys.argv[1:]]
print("address", cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    print("killed", flush=True)
cluster.shutdown()
"""


class Nodes:
    """A head that takes no task, and nodes of so many cores, in a process that starts and ends them."""

    def __init__(self, *cores: int) -> None:
        words = [sys.executable, "-c", CLUSTER, *map(str, cores)]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        )
        self.address = self._said("address").split()[1]

    def kill_one(self) -> None:
        assert self.process.stdin
        print(file=self.process.stdin, flush=True)
        self._said("killed")

    def end(self) -> None:
        self.process.communicate(timeout=60)

    def _said(self, word: str) -> str:
        assert self.process.stdout
        return next(line for line in self.process.stdout if line.startswith(word))


@pytest.fixture
def cluster() -> Iterator[Callable[..., Nodes]]:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed (the extra 'ray')")
    begun: list[Nodes] = []

    def begin(*cores: int) -> Nodes:
        begun.append(Nodes(*cores))
        return begun[-1]

    yield begin
    for nodes in begun:
        nodes.end()


@pytest.mark.slow
@pytest.mark.longest(180)
def test_a_sweep_survives_a_killed_node_and_equals_the_local_one(cluster: Callable[..., Nodes], tmp_path: Path) -> None:
    """One core a node, so that both work; the killed node's run goes on at the other, to the same bits."""
    nodes = cluster(1, 1)
    sweep = started(tmp_path / "ray", "--engine", "ray", "--engine-set", f"address={nodes.address}")
    runs = [tmp_path / "ray" / "runs" / f"method={method},seed=0" for method in ("linear", "evp")]
    until(lambda: any((run / "state.safetensors").exists() for run in runs) or sweep.poll() is not None)
    nodes.kill_one()
    result = ended(sweep)
    assert (result["cells"], result["done"], result["failed"]) == (2, 2, [])
    logs = [file.read_text() for file in (tmp_path / "ray" / "logs").iterdir()]
    assert sum(text.count("$ neuroprompt train") for text in logs) == 3  # one of them twice
    local = ended(started(tmp_path / "local"))
    assert result["table"] == local["table"]
    assert result["pairs"] == local["pairs"]
    tables = [(tmp_path / name / "accuracies.csv").read_text() for name in ("ray", "local")]
    assert tables[0] == tables[1]
    for run in runs:
        ours, theirs = (
            load_file(tmp_path / name / "runs" / run.name / "prompt.safetensors") for name in ("ray", "local")
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


CHECKED = """
import sys
from pathlib import Path
from neuroprompt.contracts.work import Engine, Resources, Task
from neuroprompt.engines import ray as engine
from neuroprompt.errors import NeuropromptError
folder, address = Path(sys.argv[1]), sys.argv[2]

def version(name, reads=()):
    return Task(name, ("--version",), folder / f"{name}.log", folder / f"{name}.log", folder / name, reads)

def tell(tasks, resources):
    try:
        for ended in Engine.named("ray", address=address).run(tasks, resources):
            print(ended.task.name, ended.error or "ended well")
    except NeuropromptError as error:
        print(error)

tell([version("a"), version("b")], Resources(at_once=1))
tell([version("c")], Resources(threads=1000))
tell([version("d")], Resources(gpus=1))
# Both nodes are this machine: a node that sees less is one whose answer is another's.
def blind(reads, made):
    return [made[0]]
engine.missing_here = blind
tell([version("e")], Resources())
"""


@pytest.mark.slow
def test_what_would_fail_every_task_is_one_line_before_the_first(cluster: Callable[..., Nodes], tmp_path: Path) -> None:
    words = [sys.executable, "-c", CHECKED, str(tmp_path), cluster(2).address]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["a ended well", "b ended well"]
    assert (
        lines[2]
        == "tasks with 1000 threads and 0 GPUs; expected at most 2 and 0, the largest node's; lower --threads or --gpus"
    )
    assert lines[3].startswith("tasks with 1 threads and 1 GPUs")
    assert "does not see" in lines[4]
    assert not list(tmp_path.glob(".probe*"))
    assert not (tmp_path / "e.log").exists()


@pytest.mark.slow
@pytest.mark.longest(95)
def test_a_data_set_in_shards_on_two_nodes_is_that_of_one_run(cluster: Callable[..., Nodes], tmp_path: Path) -> None:
    """`run`, `verify` and `eval`, a shard a node; the driver is a process of its own, as Ray stays in it.

    The run is trained there, too, by two processes: DDP starts our command again, not what Ray's worker was started by.
    """
    nodes, run = cluster(1, 1), tmp_path / "sweep" / "runs" / "method=linear,seed=0"
    there = ("--engine", "ray", "--engine-set", f"address={nodes.address}")
    two = ("--grid", "method=linear", "--seeds", "1", "--devices", "2", "--strategy", "ddp")
    swept = printed("sweep", *SMALL, "--epochs", "1", *two, *there, "--out", tmp_path / "sweep")
    shards = (*there, "--shards", "2", "--work", tmp_path / "eval")
    evaluated = printed("eval", run, *shards)
    assert (evaluated["clean"], evaluated["images"]) == (swept["table"][0]["accuracy"]["clean"]["0"], 30)
    assert len(list((tmp_path / "eval").glob("*/shard.npz"))) == 2
    graph_and_items(tmp_path)
    words = [sys.executable, str(Path(sharded.__file__)), str(tmp_path), nodes.address]
    done = subprocess.run(words, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == answers(tmp_path)
    assert len(list((tmp_path / "work").glob("*/shard.npz"))) == 4


DYING = """
import os, sys, time
from pathlib import Path
import ray
from neuroprompt.contracts.work import Engine, Resources, Task
folder, address = Path(sys.argv[1]), sys.argv[2]
ray.init(address=address, log_to_driver=False)
alive = lambda: [node for node in ray.nodes() if node["Alive"]]
before = alive()
print("ready", flush=True)
sys.stdin.readline()  # by now one of them is dead
while len(alive()) == len(before):
    time.sleep(0.1)
ray.nodes = lambda: before
task = Task("a", ("--version",), folder / "a.log", folder / "a.log", folder / "a")
for ended in Engine.named("ray", address=address).run([task], Resources()):
    print(ended.task.name, ended.error or "ended well")
"""


@pytest.mark.slow
def test_a_node_that_dies_while_it_is_asked_is_left_out(cluster: Callable[..., Nodes], tmp_path: Path) -> None:
    """Ray lists a dead node for some seconds after its death."""
    nodes = cluster(1, 1)
    words = [sys.executable, "-c", DYING, str(tmp_path), nodes.address]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert next(line for line in process.stdout if line.startswith("ready"))
        nodes.kill_one()
        out, err = process.communicate("now\n", timeout=300)
    assert "a ended well" in out.splitlines(), err


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed (the extra 'ray')")
    sweep = started(tmp_path / "x", "--engine", "ray", "--engine-set", "address=127.0.0.1:1")
    _, err = sweep.communicate(timeout=120)
    assert sweep.returncode == 2
    assert "Ray cannot be reached at '127.0.0.1:1'" in json.loads(err)["error"]["message"]


@pytest.mark.parametrize("engine", ["ray", "slurm"])
def test_an_engine_that_is_not_installed_says_what_to_type(
    engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("neuroprompt.extras.find_spec", lambda _: None)
    task = Task("a", ("--version",), tmp_path / "log", tmp_path / "log", tmp_path / "a")
    with pytest.raises(RuntimeMissing, match=rf'pip install "neuroprompt-toolkit\[{engine}\]"'):
        list(Engine.named(engine).run([task], Resources()))
