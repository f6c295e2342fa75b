"""What both campaigns type commands on: a run, bundles, a graph, images, a data set, and a hub that stands in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import nir
import numpy as np
import pytest
from fork_server import ForkServer
from hub_stand_in import Hub, standing_in
from killing import TRAIN
from label_images import means_bundle
from PIL import Image

from neuroprompt.bundles.bundle import MANIFEST
from neuroprompt.spiking.graph import write_graph


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    with standing_in() as hub:
        yield hub


@pytest.fixture(scope="session")
def server(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    temporary = tmp_path_factory.mktemp("tmp")
    env = {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    env |= {"HF_HOME": str(temporary / "hub"), "TMPDIR": str(temporary), "HF_TOKEN": "hf_x"}
    env["NEUROPROMPT_MODULES"] = f"small_demo {os.environ.get('NEUROPROMPT_MODULES', '')}"
    with ForkServer(f"kills-{os.getpid()}", env) as server:
        yield server


@pytest.fixture(scope="session")
def base(server: ForkServer, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands are typed on: a run, a graph, images, a data set, and bundles."""
    base = tmp_path_factory.mktemp("base")
    words = (f"{TRAIN} --epochs 1 --out run", "export run --target lava --out lava")
    for command in words:
        server.start(command.split(), base, base / "said")
        assert server.end().code == 0, (base / "said.err").read_text()
    hub.repos["me/digits"] = {path.name: path.read_bytes() for path in (base / "lava").iterdir()}
    assert MANIFEST in hub.repos["me/digits"]
    rng = np.random.default_rng(0)
    (base / "images").mkdir()
    for number in range(300):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(base / "images" / f"{number:04}.png")
    np.save(base / "items.npy", rng.integers(0, 2, (400, 8, 6)).astype(np.float32))
    np.save(base / "labels.npy", rng.integers(0, 5, 400))
    write_graph(_graph(rng), base / "graph.nir")
    preprocess = {"size": [8, 8], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    means_bundle(base / "means", preprocess, ("r", "g", "b"))
    return base


def _graph(rng: np.random.Generator) -> nir.NIRGraph:
    ones = np.ones(5)
    affine = nir.Affine(rng.normal(size=(5, 6)) * 0.5, np.zeros(5))
    nodes = {"input": nir.Input({"input": np.array([6])}), "fc": affine}
    nodes["n"] = nir.IF(ones, ones, ones * 0)
    nodes["output"] = nir.Output({"output": np.array([5])})
    return nir.NIRGraph(nodes, [("input", "fc"), ("fc", "n"), ("n", "output")])
