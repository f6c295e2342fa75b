"""Small nets of different kinds, trained here in seconds, as NIR graphs with held-out inputs, for fidelity_table.py.

Every neuron resets to 0 in the step of its spike, the one reset that NIR has; a class is the output that fires most.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

import neuroprompt as npt
from neuroprompt.contracts.learning import Generator
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.spiking.chain import to_nir
from neuroprompt.spiking.neurons import leaky
from neuroprompt.spiking.time_step import DT_SECONDS
from neuroprompt.training.dataset import size_of

FITTED, EVENTS_FITTED = 96, 32
"""How many training items the integers are fitted on; fewer of those with many lines."""


@dataclass(frozen=True)
class Net:
    """A trained net, training items (B, T, n) for the integers, and held-out ones with their labels (B,)."""

    what: str
    graph: nir.NIRGraph
    fitted_on: Any
    held_out: Any
    labels: Any


# --- data -------------------------------------------------------------------------------------------------------------

Items = tuple[Tensor, Tensor, Tensor, Tensor]
"""Training inputs (T, N, ...) and labels, and held-out ones."""


def digits(steps: int, *, as_spikes: bool) -> Items:
    """Handwritten digits: pixels as spikes of that chance, or as numbers, the same in every step."""
    loaded = npt.Data.named("digits").load(Preprocess((8, 8), interpolation="nearest"), seed=0)
    parts: list[Tensor] = []
    for part in (loaded.train, loaded.test):
        images, labels = zip(*(part[i] for i in range(size_of(part))), strict=True)
        grey = torch.stack([image[0].flatten() for image in images]).float() / 255
        every = grey.expand(steps, -1, -1)
        parts += [torch.bernoulli(every) if as_spikes else every.clone(), torch.tensor(labels)]
    return parts[0], parts[1], parts[2], parts[3]


def events(items: int, steps: int = 24, side: int = 16) -> tuple[Tensor, Tensor]:
    """Events (T, N, 2, side, side) of something bright: bars that move in 4 directions, rings that grow or shrink.

    A pixel gives an event of the first kind where it gets brighter by a quarter, of the second where darker, and of
    either by chance 1 %.
    """
    rng = np.random.default_rng(items)
    labels = rng.integers(0, 6, items)
    y, x = np.mgrid[:side, :side][:, None]
    centre = rng.uniform(side * 0.35, side * 0.65, (2, items, 1, 1))
    radius = np.hypot(y - centre[0], x - centre[1])
    along = np.select(
        [labels[:, None, None] == k for k in range(5)], [x + 0 * radius, -x + 0 * radius, y, -y, radius], -radius
    )
    speed, start = rng.uniform(0.5, 0.9, (items, 1, 1)), rng.uniform(0, side, (items, 1, 1))
    frames = [np.cos(2 * np.pi * (along - start - speed * t) / 10) > 0.6 for t in range(steps + 1)]
    change = np.diff(np.stack(frames).astype(int), axis=0)
    noise = rng.random((steps, items, 2, side, side)) < 0.01
    both = np.stack([change > 0, change < 0], axis=2) | noise
    return torch.from_numpy(both.astype(np.float32)), torch.from_numpy(labels)


def touches(items: int, seed: int, steps: int = 50, lines: int = 12, classes: int = 7) -> tuple[Tensor, Tensor]:
    """Spikes (T, N, 12) as of a finger over Braille: each line's chance rises once, when depends on the letter."""
    letters, rng = np.random.default_rng(0), np.random.default_rng(seed)
    peaks, widths = letters.uniform(5, steps - 5, (classes, lines)), letters.uniform(2, 6, (classes, lines))
    labels = rng.integers(0, classes, items)
    late = rng.normal(0, 1.5, (items, 1))
    time = np.arange(steps)[:, None, None]
    chance = 0.02 + 0.5 * np.exp(-(((time - peaks[labels] - late) / widths[labels]) ** 2))
    return torch.from_numpy((rng.random(chance.shape) < chance).astype(np.float32)), torch.from_numpy(labels)


# --- training ---------------------------------------------------------------------------------------------------------


def counts(chain: nn.Sequential, inputs: Tensor) -> Tensor:
    """How often each of the last neurons fires on inputs (T, N, ...), (N, classes); layer by layer."""
    x = inputs
    for module in chain:
        if not hasattr(module, "beta"):
            x = module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            continue
        v, spikes = torch.zeros_like(x[0]), []
        for current in x:
            fired, v = module(current, v)
            spikes.append(fired)
        x = torch.stack(spikes)
    return x.sum(0)


def train(run: Callable[[Tensor], Tensor], parameters: Any, data: Items, epochs: int, lr: float) -> None:
    """Cross-entropy of the counts, by Adam."""
    parameters = list(parameters)
    optimiser = torch.optim.Adam(parameters, lr)
    for _ in range(epochs):
        for batch in torch.randperm(len(data[1])).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(run(data[0][:, batch]), data[1][batch]).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()


def net(what: str, graph: nir.NIRGraph, data: Items, fitted: int = FITTED) -> Net:
    """A trained net with its items as the compiler takes them, (B, T, n)."""
    fitted_on, held_out = (x.transpose(0, 1).flatten(2).double().numpy() for x in (data[0][:, :fitted], data[2]))
    return Net(what, graph, fitted_on, held_out, data[3].numpy())


# --- nets -------------------------------------------------------------------------------------------------------------


def dense(steps: int = 16) -> Net:
    """Three dense layers of LIF on spikes."""
    data = digits(steps, as_spikes=True)
    sizes = (64, 64, 32, 10)
    chain = nn.Sequential(*(m for a, b in pairwise(sizes) for m in (nn.Linear(a, b, bias=False), leaky(0.9, 1.0))))
    train(lambda x: counts(chain, x), chain.parameters(), data, 10, 5e-3)
    return net("dense LIF, digits, snnTorch", to_nir(Generator(chain, steps)), data)


def analogue(steps: int = 20) -> Net:
    """Two dense layers of LIF on numbers."""
    data = digits(steps, as_spikes=False)
    layers = (nn.Linear(64, 48, bias=False), leaky(0.9, 1.0), nn.Linear(48, 10, bias=False), leaky(0.9, 1.0))
    chain = nn.Sequential(*layers)
    train(lambda x: counts(chain, x), chain.parameters(), data, 10, 5e-3)
    return net("dense LIF, numbers, snnTorch", to_nir(Generator(chain, steps)), data)


def convolution() -> Net:
    """Five layers of IF: three convolutions with sum pooling, and two dense ones."""
    data, layers = (*events(800), *events(600)), event_layers()
    neurons = [leaky(1.0, 1.0) for _ in layers]
    pool = nn.AvgPool2d(2, divisor_override=1)
    behind = (pool, pool, nn.Flatten(), nn.Identity(), nn.Identity())
    chain = nn.Sequential(*(m for each in zip(layers, neurons, behind, strict=True) for m in each))
    train(lambda x: counts(chain, x), chain.parameters(), data, 10, 3e-3)
    weights = [layer.weight.detach().numpy() for layer in layers]
    return net("convolutions of IF, events, snnTorch", event_graph(weights), data, EVENTS_FITTED)


def sinabs() -> Net:
    """The same trained by sinabs, in a child process with its own packages."""
    data = (*events(800), *events(600))
    target = npt.SpikingTarget.named("sinabs")
    assert isinstance(target, OwnRuntimeTarget)
    target.install()
    with tempfile.TemporaryDirectory() as name:
        np.savez(Path(name, "events.npz"), x=data[0].numpy(), y=data[1].numpy())
        script = Path(__file__).with_name("fidelity_sinabs.py")
        subprocess.run([sys.executable, script, target.runtime.folder, name], check=True, timeout=1800)
        with np.load(Path(name, "weights.npz")) as file:
            weights = list(file.values())
    return net("convolutions of IF, events, sinabs", event_graph(weights), data, EVENTS_FITTED)


def event_layers() -> list[Any]:
    """The layers with weights of the net for events."""
    convolutions = (nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 3, padding=1, bias=False))
    last = (nn.Conv2d(8, 16, 3, bias=False), nn.Linear(64, 32, bias=False), nn.Linear(32, 6, bias=False))
    return [*convolutions, *last]


def event_graph(weights: list[Any]) -> nir.NIRGraph:
    """Conv2d, IF, SumPool2d, Conv2d, IF, SumPool2d, Conv2d, IF, Flatten, Linear, IF, Linear, IF."""

    def conv(index: int, side: int, padding: int) -> nir.Conv2d:
        return nir.Conv2d((side, side), weights[index], 1, padding, 1, 1, np.zeros(len(weights[index])))

    def neurons(*shape: int) -> nir.IF:
        return nir.IF(r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))

    def sums() -> nir.SumPool2d:
        return nir.SumPool2d(*(np.array([n, n]) for n in (2, 2, 0)))

    nodes = {
        "input": nir.Input({"input": np.array([2, 16, 16])}),
        **{"conv1": conv(0, 16, 1), "if1": neurons(8, 16, 16), "pool1": sums()},
        **{"conv2": conv(1, 8, 1), "if2": neurons(8, 8, 8), "pool2": sums()},
        **{"conv3": conv(2, 4, 0), "if3": neurons(16, 2, 2)},
        "flat": nir.Flatten({"input": np.array([16, 2, 2])}, 0, -1),
        **{"linear4": nir.Linear(weights[3]), "if4": neurons(32), "linear5": nir.Linear(weights[4]), "if5": neurons(6)},
        "output": nir.Output({"output": np.array([6])}),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


class Recurrent(nn.Module):
    """38 CubaLIF that drive each other, and 7 behind them: u = a u + x, v = b v + u, spike if v > 1, v <- 0."""

    def __init__(self, sizes: tuple[int, int, int] = (12, 38, 7)) -> None:
        super().__init__()
        self.into, self.own, self.out = nn.Linear(*sizes[:2]), nn.Linear(sizes[1], sizes[1]), nn.Linear(*sizes[1:])
        nn.init.normal_(self.own.weight, 0, 0.08)
        self.tau_syn, self.tau_mem = 2.5, 6.0
        self.fire = leaky(0.5, 1.0).spike_grad

    def forward(self, inputs: Tensor) -> Tensor:
        """Counts (N, 7) for spikes (T, N, 12)."""
        keep_u, keep_v = 1 - 1 / self.tau_syn, 1 - 1 / self.tau_mem
        u1, v1, s1, u2, v2, total = (torch.zeros(inputs.shape[1], n) for n in (38, 38, 38, 7, 7, 7))
        for x in inputs:
            u1 = keep_u * u1 + self.into(x) + self.own(s1)
            v1 = keep_v * v1 + u1
            s1 = self.fire(v1 - 1)
            v1 = v1 * (1 - s1)
            u2 = keep_u * u2 + self.out(s1)
            v2 = keep_v * v2 + u2
            s2 = self.fire(v2 - 1)
            v2, total = v2 * (1 - s2), total + s2
        return total


def recurrent() -> Net:
    """Recurrent CubaLIF with biases, as the Braille net of the NIR paper."""
    data = (*touches(960, 1), *touches(600, 2))
    module = Recurrent()
    with torch.no_grad():
        for layer in (module.into, module.own, module.out):
            layer.weight.mul_(0.5)
            layer.bias.zero_()
    train(module, module.parameters(), data, 8, 3e-3)

    def affine(layer: nn.Linear) -> nir.Affine:
        return nir.Affine(*(p.detach().numpy() for p in (layer.weight, layer.bias)))

    def neurons(n: int) -> nir.CubaLIF:
        """Gains of 1: what arrives is not scaled by dt / tau."""
        taus = {"tau_syn": np.full(n, module.tau_syn * DT_SECONDS), "tau_mem": np.full(n, module.tau_mem * DT_SECONDS)}
        gains = {"w_in": np.full(n, module.tau_syn), "r": np.full(n, module.tau_mem)}
        return nir.CubaLIF(**taus, **gains, v_leak=np.zeros(n), v_threshold=np.ones(n), v_reset=np.zeros(n))

    nodes = {
        **{"input": nir.Input({"input": np.array([12])}), "into": affine(module.into), "own": affine(module.own)},
        **{"lif1": neurons(38), "out": affine(module.out), "lif2": neurons(7)},
        "output": nir.Output({"output": np.array([7])}),
    }
    chain = [*pairwise(("input", "into", "lif1", "out", "lif2", "output")), ("lif1", "own"), ("own", "lif1")]
    return net("recurrent CubaLIF, touches, torch", nir.NIRGraph(nodes, chain), data)


NETS: dict[str, Callable[[], Net]] = {
    "dense": dense,
    "convolution": convolution,
    "sinabs": sinabs,
    "recurrent": recurrent,
    "analogue": analogue,
}
