"""Commands that write, killed at random moments: nothing lost, nothing half-written, nobody left, the same result after.

NEUROPROMPT_KILLS says how often each is killed (2 in CI), NEUROPROMPT_KILLS_LOG names a file that gets a line of JSON
after each kill. SECURITY.md holds the figures of a large run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nir
import numpy as np
import pytest
from fork_server import ForkServer
from hub_stand_in import Hub, standing_in
from killing import Campaign, Case, Record
from PIL import Image

from neuroprompt.bundles.bundle import MANIFEST
from neuroprompt.spiking.graph import write_graph

KILLS = int(os.environ.get("NEUROPROMPT_KILLS", "2"))
SEED = int(os.environ.get("NEUROPROMPT_KILLS_SEED", "0"))
TINY = "--random-weights --image-size 16 --batch 8 --device cpu"
TRAIN = f"train {TINY} --limit 60 --tokens 2"
IN_CI = ("eval", "export nir", "run images", "pull", "graph lava", "train")
"""The cheapest: the others run only in a campaign."""


def runs(name: str) -> bool:
    """Files of a run folder, and of a sweep: they appear one after the other."""
    return True


def of_uv(name: str) -> bool:
    """What uv and Python write in an environment that is of each building's own."""
    return name.endswith((".pyc", "uv_cache.json", "RECORD", "pyvenv.cfg", ".lock")) or "/bin/" in name


COMMANDS: tuple[Case, ...] = (
    Case("train", tuple(f"{TRAIN} --epochs 4 --out run".split()), grows=runs),
    Case("eval", tuple("eval BASE/run --csv a.csv".split())),
    Case("export nir", tuple("export BASE/run --target nir --out out".split())),
    Case("export lava", tuple("export BASE/run --target lava --out out".split())),
    Case("export c", tuple("export BASE/run --target c --out out".split())),
    Case("graph lava", tuple("export BASE/graph.nir --target lava --steps 10 --out out".split())),
    Case("graph netx", tuple("export BASE/graph.nir --target netx --steps 10 --out out".split())),
    Case("graph c", tuple("export BASE/graph.nir --target c --steps 10 --out out".split())),
    Case("graph c-float32", tuple("export BASE/graph.nir --target c-float32 --steps 10 --out out".split())),
    Case("run images", tuple("run BASE/means BASE/images --out l.csv --threads 1".split())),
    Case("run items", tuple("run BASE/graph.nir --inputs BASE/items.npy --steps 8 --out l.csv".split())),
    Case("run spikes", tuple("run BASE/lava --target loihi --out s.npz".split())),
    Case("pull", tuple("pull me/digits --out out".split())),
    Case("install nengo", tuple("targets install nengo".split()), {"NEUROPROMPT_CACHE": "cache"}, differs=of_uv),
    Case("install spikingjelly", tuple("targets install spikingjelly".split()), {"NEUROPROMPT_CACHE": "cache"}, differs=of_uv),
    Case("install lava", tuple("targets install lava".split()), {"NEUROPROMPT_CACHE": "cache"}, differs=of_uv),
    Case("run on nengo", tuple("run BASE/lava --target nengo --precision float --out s.npz".split())),
    Case("run on lava", tuple("run BASE/lava --target lava --out s.npz".split())),
    Case("report", tuple("report BASE/run BASE/lava --skip latency --skip verify --skip measure --out r.html".split())),
    Case("export onnx", tuple("export BASE/run --target onnx --out out".split())),
    Case(
        "sweep",
        tuple(f"sweep {TINY} --limit 20 --epochs 1 --grid method=linear,vpt-deep --seeds 2 --out out".split()),
        grows=runs,
        differs=lambda name: "/logs/" in name,
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with standing_in() as hub:
        yield hub


@pytest.fixture(scope="module")
def server(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    temporary = tmp_path_factory.mktemp("tmp")
    env = {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    env |= {"HF_HOME": str(temporary / "hub"), "TMPDIR": str(temporary), "HF_TOKEN": "hf_x"}
    with ForkServer(f"kills-{os.getpid()}", env) as server:
        yield server


@pytest.fixture(scope="module")
def base(server: ForkServer, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands are typed on: a run, a graph, images, a data set, and bundles."""
    base = tmp_path_factory.mktemp("base")
    words = (f"{TRAIN} --epochs 1 --out run", "export run --target lava --out lava")
    for command in words:
        server.start(command.split(), base, base / "said")
        assert server.end() == 0, (base / "said.err").read_text()
    hub.repos["me/digits"] = {path.name: path.read_bytes() for path in (base / "lava").iterdir()}
    assert MANIFEST in hub.repos["me/digits"]
    rng = np.random.default_rng(0)
    (base / "images").mkdir()
    for number in range(300):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(base / "images" / f"{number:04}.png")
    np.save(base / "items.npy", rng.integers(0, 2, (400, 8, 6)).astype(np.float32))
    write_graph(_graph(rng), base / "graph.nir")
    _means(base / "means")
    return base


def _graph(rng: np.random.Generator) -> nir.NIRGraph:
    ones = np.ones(5)
    affine = nir.Affine(rng.normal(size=(5, 6)) * 0.5, np.zeros(5))
    nodes = {"input": nir.Input({"input": np.array([6])}), "fc": affine}
    nodes["n"] = nir.IF(ones, ones, ones * 0)
    nodes["output"] = nir.Output({"output": np.array([5])})
    return nir.NIRGraph(nodes, [("input", "fc"), ("fc", "n"), ("n", "output")])


def _means(out: Path) -> None:
    """The smallest ONNX bundle: the mean of every channel is the logit of a class."""
    import onnx
    from onnx import TensorProto, helper

    from neuroprompt.bundles.bundle import write_bundle

    shape: list[str | int | None] = ["batch", 3, 8, 8]
    node = helper.make_node("ReduceMean", ["images"], ["logits"], axes=[2, 3], keepdims=0)
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape[:2])]
    graph = helper.make_graph([node], "means", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    preprocess = {"size": [8, 8], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}

    def fill(folder: Path) -> dict[str, object]:
        onnx.save(model, str(folder / "model.onnx"))
        return {"preprocess": preprocess, "classes": ["r", "g", "b"]}

    write_bundle(out, "onnx", fill)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("case", COMMANDS, ids=lambda case: case.name.replace(" ", "-"))
def test_killed_at_random_moments(case: Case, server: ForkServer, base: Path, tmp_path: Path) -> None:
    if "NEUROPROMPT_KILLS" not in os.environ and case.name not in IN_CI:
        pytest.skip("in a campaign only: set NEUROPROMPT_KILLS")
    log = os.environ.get("NEUROPROMPT_KILLS_LOG")

    def note(record: Record) -> None:
        if log:
            with Path(log).open("a") as stream:
                stream.write(record.line() + "\n")

    words = tuple(word.replace("BASE", str(base)) for word in case.words)
    case = Case(case.name, words, case.env, case.keeps, case.grows, case.differs)
    record = Campaign(server, tmp_path).kill(case, KILLS, SEED, after=note)
    note(record)
    assert record.faults == []
    assert record.kills == KILLS
