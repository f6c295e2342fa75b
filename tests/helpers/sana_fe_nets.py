"""Ten nets on a Loihi 1, our estimate beside SANA-FE's own run.

As a script it prints the table of docs/explain/energy.md. Weights, biases and inputs are random with a fixed seed: what
is compared is the cost of events, not what a net computes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import Prices, SpikingTarget
from neuroprompt.energy.count_bundle import counts_of_model
from neuroprompt.energy.on_chip import PRICES, OnChip
from neuroprompt.energy.units import si

COLUMNS = ("net", "steps", "cores", "messages", "energy, ours", "SANA-FE", "ratio", "time, ours", "SANA-FE", "ratio")
Generated = tuple[nir.NIRGraph, NDArray[np.float64]]


@dataclass(frozen=True)
class Compared:
    """A net's energy and time, ours and SANA-FE's."""

    name: str
    steps: int
    chip: OnChip
    joules: float
    seconds: float

    @property
    def ratios(self) -> tuple[float, float]:
        """Ours over SANA-FE's: energy, time."""
        return self.chip.joules(Prices.named(PRICES)) / self.joules, self.chip.latency.run_s / self.seconds

    def row(self) -> tuple[str, ...]:
        """Under COLUMNS."""
        energy, time = self.ratios
        ours = self.chip.joules(Prices.named(PRICES))
        cores, messages = len(self.chip.placement.cores), self.chip.counts["messages"]
        times = (f"{seconds * 1e6:.1f} us" for seconds in (self.chip.latency.run_s, self.seconds))
        first, second = times
        figures = (
            f"{cores}",
            f"{messages:,}",
            si(ours),
            si(self.joules),
            f"{energy:.3f}",
            first,
            second,
            f"{time:.3f}",
        )
        return (self.name, f"{self.steps}", *figures)


def chain(sizes: tuple[int, ...], steps: int, rate: float, kind: str = "IF", *, share: float = 1.0) -> Generated:
    """Layers one after the other, Affine and IF or LIF, `share` of the weights not 0, inputs that fire at `rate`."""
    rng = np.random.default_rng(0)
    nodes: list[nir.NIRNode] = []
    for n_in, n_out in pairwise(sizes):
        weight = rng.normal(0.3, 1.0, (n_out, n_in)) * (rng.random((n_out, n_in)) < share) / np.sqrt(n_in * share)
        bias = rng.normal(0.0, 0.02, n_out)
        nodes += [nir.Affine(weight, bias) if kind == "LIF" else nir.Linear(weight), neurons(kind, (n_out,))]
    return nir.NIRGraph.from_list(*nodes), (rng.random((steps, sizes[0])) < rate).astype(float)


def neurons(kind: str, shape: tuple[int, ...], threshold: float = 1.0) -> nir.NIRNode:
    """A layer of IF, or of LIF that keep nine tenths a step."""
    one = np.ones(shape)
    if kind == "IF":
        return nir.IF(r=one, v_threshold=threshold * one, v_reset=0 * one)
    return nir.LIF(tau=1e-3 * one, r=10 * one, v_leak=0 * one, v_threshold=threshold * one, v_reset=0 * one)


def convolution(steps: int, rate: float) -> Generated:
    """Two channels of 16 x 16 to eight of 14 x 14, and ten neurons behind them."""
    rng = np.random.default_rng(5)
    conv = nir.Conv2d((16, 16), rng.normal(0.1, 0.4, (8, 2, 3, 3)), 1, 0, 1, 1, np.zeros(8))
    flat = nir.Flatten({"input": np.array([8, 14, 14])}, start_dim=0, end_dim=-1)
    dense = nir.Linear(rng.normal(0.0, 0.1, (10, 8 * 14 * 14)))
    nodes = {
        "input": nir.Input({"input": np.array([2, 16, 16])}),
        "conv": conv,
        "if1": neurons("IF", (8, 14, 14)),
        "flatten": flat,
        "dense": dense,
        "if2": neurons("IF", (10,)),
        "output": nir.Output({"output": np.array([10])}),
    }
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(pairwise(names)))
    return graph, (rng.random((steps, 2 * 16 * 16)) < rate).astype(float)


def recurrent(steps: int, rate: float) -> Generated:
    """64 lines to 128 neurons that also reach each other, and ten behind them."""
    rng = np.random.default_rng(6)
    nodes = {
        "input": nir.Input({"input": np.array([64])}),
        "into": nir.Linear(rng.normal(0.2, 1.0, (128, 64)) / 8),
        "if1": neurons("IF", (128,)),
        "back": nir.Linear(rng.normal(-0.2, 1.0, (128, 128)) / 11),
        "out": nir.Linear(rng.normal(0.2, 1.0, (10, 128)) / 11),
        "if2": neurons("IF", (10,)),
        "output": nir.Output({"output": np.array([10])}),
    }
    edges = [("input", "into"), ("into", "if1"), ("if1", "back"), ("back", "if1"), ("if1", "out"), ("out", "if2")]
    return nir.NIRGraph(nodes, [*edges, ("if2", "output")]), (rng.random((steps, 64)) < rate).astype(float)


NETS: dict[str, Callable[[], Generated]] = {
    "64-32-10, IF": lambda: chain((64, 32, 10), 50, 0.3),
    "784-128-10, IF": lambda: chain((784, 128, 10), 25, 0.1),
    "784-128-10, LIF, biases": lambda: chain((784, 128, 10), 25, 0.1, "LIF"),
    "784-256-10, LIF, 2 % of events": lambda: chain((784, 256, 10), 50, 0.02, "LIF"),
    "128-512-10, IF, 80 % of events": lambda: chain((128, 512, 10), 20, 0.8),
    "400-600-600-400-10, IF": lambda: chain((400, 600, 600, 400, 10), 8, 0.1),
    "100-1500-10, IF": lambda: chain((100, 1500, 10), 20, 0.2),
    "2000-300-10, IF, sparse weights": lambda: chain((2000, 300, 10), 20, 0.1, share=0.1),
    "2x16x16, 8 convolutions, 10, IF": lambda: convolution(20, 0.1),
    "64-128-10, recurrent, IF": lambda: recurrent(40, 0.2),
}


def compared(name: str, target: SpikingTarget) -> Compared:
    """One net's run, by our emulator and by SANA-FE, on the same cores."""
    graph, inputs = NETS[name]()
    model = model_of_graph(graph, len(inputs), inputs)
    ours = counts_of_model(model, inputs, "loihi", "fixed")
    if isinstance(ours.chip, str):
        raise TypeError(f"{name}: {ours.chip}")
    cost = target.run(model, inputs, "fixed").cost
    return Compared(name, len(inputs), ours.chip, float(cost["joules.total"]), float(cost["seconds"]))


def table(results: list[Compared]) -> list[str]:
    """The results in Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(result.row() for result in results)]
    return [f"| {' | '.join(row)} |" for row in rows]


if __name__ == "__main__":
    simulator = SpikingTarget.named("sanafe")
    simulator.install()
    print("\n".join(table([compared(name, simulator) for name in NETS])))
