"""A small graph with a data set, and what `run` and `verify` answer for it: the same in shards on any engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np

from neuroprompt.bundles.data_run import run_items
from neuroprompt.bundles.shards import Split
from neuroprompt.bundles.verify_run import verify_items
from neuroprompt.spiking.graph import write_graph


def graph_and_items(folder: Path) -> tuple[Path, Path]:
    """A layer of three LIF neurons on 12 lines, and 9 labelled items of 10 steps."""
    rng, three = np.random.default_rng(0), np.ones(3)
    lif = nir.LIF(tau=4e-4 * three, r=three, v_leak=0 * three, v_threshold=0.4 * three, v_reset=0 * three)
    weights = rng.normal(0.2, 0.3, (3, 12))
    weights[0, 0] = 40.0  # so that the others are coarse as integers, and some items differ
    nodes = {"input": nir.Input({"input": np.array([12])}), "fc": nir.Linear(weights), "lif": lif}
    nodes["output"] = nir.Output({"output": np.array([3])})
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
    write_graph(nir.NIRGraph(nodes, edges, metadata={"dt": 1e-4}), folder / "graph.nir")
    np.savez(folder / "test.npz", inputs=rng.random((9, 10, 12)) < 0.4, labels=rng.integers(0, 3, 9))
    return folder / "graph.nir", folder / "test.npz"


def answers(folder: Path, split: Split | None = None) -> list[Any]:
    """The JSON of both verbs without what differs from run to run."""
    graph, data = folder / "graph.nir", folder / "test.npz"
    verified, _, _ = verify_items(graph, data, None, ["loihi"], split=split)
    assert verified is not None
    return [timeless(run_items(graph, data, split=split).json()), timeless(verified.json())]


def timeless(values: Any) -> Any:
    """JSON without seconds and speed."""
    if isinstance(values, dict):
        return {key: timeless(value) for key, value in values.items() if key not in ("seconds", "items_per_second")}
    return values


if __name__ == "__main__":  # FOLDER and the address of a Ray cluster
    import json

    from neuroprompt.contracts.work import Engine

    here = Path(sys.argv[1])
    print(json.dumps(answers(here, Split(Engine.named("ray", address=sys.argv[2]), 2, here / "work"))))
