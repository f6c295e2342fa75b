"""Random sound graphs of every NIR primitive: what targets are held to, beside graphs that people made."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from neuroprompt.spiking.time_step import DT_SECONDS


def random_graph(seed: int, *, portable: bool = False) -> nir.NIRGraph:
    """A graph of one to three layers of neurons, drawn from `seed`.

    Portable: Affine or Linear, then IF, LIF (r = 1) or CubaLIF, some layers with a recurrent Affine: what every
    simulator has. Otherwise images and Conv, Pool, Scale, Delay, nested graphs, joins, feedback between layers,
    parameters of every neuron's own, v_leak, and outputs that never fire too.
    """
    return _Builder(np.random.default_rng(seed), portable).build()


class _Builder:
    def __init__(self, rng: np.random.Generator, portable: bool) -> None:
        self.rng, self.portable = rng, portable
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []

    def build(self) -> nir.NIRGraph:
        rng = self.rng
        image = not self.portable and rng.random() < 0.35
        sizes = (rng.integers(1, 4), *rng.integers(6, 10, 2)) if image else (rng.integers(3, 20),)
        shape = tuple(int(n) for n in sizes)
        self.nodes["input"] = nir.Input({"input": np.array(shape)})
        layers: list[tuple[str, tuple[int, ...]]] = []
        last = "input"
        for i in range(int(rng.integers(1, 4))):
            name = f"layer{i}"
            if len(shape) == 3 and (i == 0 or rng.random() < 0.5):
                last, shape = self.convolved(name, last, shape)
            else:
                last, shape = self.connected(name, last, shape)
            if not self.portable and rng.random() < 0.3:
                last = self.added(f"{name}_delay", self.delay(shape), last)
            neurons = self.added(f"{name}_spk", self.neurons(shape), last)
            size = int(np.prod(shape))
            if rng.random() < 0.35 and len(shape) == 1:
                self.added(f"{name}_rec", self.affine(size, size, 0.4), neurons)
                self.edges.append((f"{name}_rec", neurons))
            if layers and not self.portable and len(shape) == 1 and rng.random() < 0.4:
                other, its = layers[int(rng.integers(len(layers)))]
                if len(its) == 1:
                    self.skip(f"{name}_skip", other, neurons, its[0], size)
                    if rng.random() < 0.4:
                        self.skip(f"{name}_back", neurons, other, size, its[0])
            layers.append((neurons, shape))
            last = neurons
        if not self.portable and rng.random() < 0.4:
            last, shape = self.readout(last, shape)
        self.added("output", nir.Output({"output": np.array(shape)}), last)
        metadata = {"dt": DT_SECONDS}
        return nir.NIRGraph(self.nodes, self.edges, metadata=metadata, type_check=False)

    def added(self, name: str, node: Any, after: str) -> str:
        self.nodes[name] = node
        self.edges.append((after, name))
        return name

    def affine(self, rows: int, columns: int, strength: float = 1.0) -> Any:
        weight = self.rng.normal(0.15, 1.0, (rows, columns)) * strength * 2.2 / np.sqrt(columns)
        if self.rng.random() < 0.3:
            return nir.Linear(weight)
        return nir.Affine(weight, self.rng.normal(0.05, 0.2, rows) * strength)

    def connected(self, name: str, last: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        size, rows = int(np.prod(shape)), int(self.rng.integers(2, 16))
        if len(shape) > 1:
            last = self.added(f"{name}_flat", nir.Flatten({"input": np.array(shape)}, 0, -1), last)
        node = self.affine(rows, size)
        if not self.portable and self.rng.random() < 0.3:  # a graph in the graph, with a Scale behind the weights
            ends = nir.Input({"input": np.array([size])}), nir.Output({"output": np.array([rows])})
            scale = nir.Scale(self.rng.uniform(0.7, 1.4, rows))
            inner = {"in": ends[0], "fc": node, "scale": scale, "out": ends[1]}
            node = nir.NIRGraph(inner, [("in", "fc"), ("fc", "scale"), ("scale", "out")], type_check=False)
        return self.added(f"{name}_fc", node, last), (rows,)

    def convolved(self, name: str, last: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        rng = self.rng
        channels, stride = int(rng.integers(1, 5)), int(rng.integers(1, 3))
        kernel = int(rng.integers(1, min(4, *(n + 1 for n in shape[1:]))))
        padding, groups = int(rng.integers(0, 2)), shape[0] if rng.random() < 0.2 else 1
        outputs = channels * groups
        weight = rng.normal(0.1, 1.0, (outputs, shape[0] // groups, kernel, kernel))
        weight *= 2.0 / np.sqrt(weight[0].size)
        bias = rng.normal(0.1, 0.2, outputs)
        conv = nir.Conv2d(shape[1:], weight, (stride,) * 2, (padding,) * 2, (1, 1), groups, bias)
        last = self.added(f"{name}_conv", conv, last)
        sides = tuple((n + 2 * padding - kernel) // stride + 1 for n in shape[1:])
        if min(sides) >= 4 and rng.random() < 0.5:
            kind = nir.AvgPool2d if rng.random() < 0.5 else nir.SumPool2d
            two = np.array([2, 2])
            last = self.added(f"{name}_pool", kind(two, two, np.array([0, 0])), last)
            sides = tuple((n - 2) // 2 + 1 for n in sides)
        return last, (outputs, *sides)

    def delay(self, shape: tuple[int, ...]) -> Any:
        steps = self.rng.integers(0, 4, shape) if self.rng.random() < 0.5 else np.full(shape, self.rng.integers(1, 4))
        return nir.Delay(steps * DT_SECONDS)

    def skip(self, name: str, source: str, target: str, columns: int, rows: int) -> None:
        self.added(name, self.affine(rows, columns, 0.5), source)
        self.edges.append((name, target))

    def neurons(self, shape: tuple[int, ...]) -> Any:
        rng = self.rng
        own = not self.portable and rng.random() < 0.4

        def drawn(low: float, high: float) -> Any:
            return rng.uniform(low, high, shape) if own else np.full(shape, rng.uniform(low, high))

        ones, zeros = np.ones(shape), np.zeros(shape)
        vth = drawn(0.5, 1.1)
        kind = rng.integers(3 if self.portable else 4)
        r = ones if self.portable else drawn(0.8, 1.5)
        leak = zeros if self.portable or rng.random() < 0.7 else drawn(-0.2, 0.3)
        if kind == 0:
            return nir.IF(r=r, v_threshold=vth, v_reset=zeros)
        if kind == 1:
            tau = drawn(1.2, 6.0) * DT_SECONDS
            gain = ones if self.portable else r * 2
            return nir.LIF(tau=tau, r=gain, v_leak=leak, v_threshold=vth * 0.5, v_reset=zeros)
        if kind == 2:
            syn, mem = drawn(1.2, 4.0), drawn(1.2, 6.0)
            behind = any(target.startswith("layer") for target in self.nodes)
            leak = zeros if behind else leak  # the chip's own bias would begin before what arrives
            taus = {"tau_syn": syn * DT_SECONDS, "tau_mem": mem * DT_SECONDS}
            return nir.CubaLIF(**taus, r=mem, v_leak=leak, v_threshold=vth, v_reset=zeros, w_in=syn)
        return nir.Threshold(vth * 0.6)

    def readout(self, last: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        size = int(np.prod(shape))
        if len(shape) > 1:
            last = self.added("readout_flat", nir.Flatten({"input": np.array(shape)}, 0, -1), last)
        last = self.added("readout_fc", self.affine(3, size), last)
        ones, zeros = np.ones(3), np.zeros(3)
        tau = np.full(3, self.rng.uniform(1.5, 8.0) * DT_SECONDS)
        kind = self.rng.integers(4)
        if kind == 1:
            last = self.added("readout", nir.LI(tau=tau, r=ones, v_leak=zeros), last)
        elif kind == 2:
            cuba = nir.CubaLI(tau_syn=tau, tau_mem=tau * 2, r=ones * 3, v_leak=zeros, w_in=ones)
            last = self.added("readout", cuba, last)
        elif kind == 3:
            last = self.added("readout", nir.I(r=ones), last)
        return last, (3,)


def whole_weights(lines: int) -> nir.NIRGraph:
    """Eight IF neurons whose weights and thresholds are whole and even, so that 8 bits hold them exactly."""
    weights = 2.0 * np.random.default_rng(0).integers(-60, 60, (8, lines))
    nodes = {
        "input": nir.Input({"input": np.array([lines])}),
        "w": nir.Linear(weights),
        "n": nir.IF(np.ones(8), np.full(8, 100.0)),
        "output": nir.Output({"output": np.array([8])}),
    }
    return nir.NIRGraph(nodes, [("input", "w"), ("w", "n"), ("n", "output")])
