"""Random nets in the chip's integers, for timing: dense layers that fire at a rate, and one-to-one neurons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import Floats
from neuroprompt.loihi.neurons import step_fixed
from neuroprompt.loihi.synapses import arriving_fixed
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

LEAK, NO_MEMORY = 1024, 4095
TRIED, SETTLED = 60, 20
"""Steps on which a threshold is chosen, and from which on its rate counts."""


def random_net(width: int, layers: int, steps: int, rate: float = 0.1, seed: int = 0) -> tuple[SpikingModel, Floats]:
    """A fixed program of dense layers, whose neurons all fire at about `rate`, and spikes of that rate (steps, width).

    Weights are even, from -60 to 60; thresholds, none below 0, are set layer by layer, by halving: at a
    rate of 50 % the layers reach some 40 %.
    """
    rng = np.random.default_rng(seed)
    inputs = (rng.random((steps, width)) < rate).astype(np.float64)
    return dense_net((width,) * (layers + 1), steps, rate, rng), inputs


def dense_net(sizes: Sequence[int], steps: int, rate: float, rng: np.random.Generator) -> SpikingModel:
    """`random_net` with layers of these sizes, the input lines first, and weights drawn from `rng`."""
    tried: NDArray[np.bool_] = rng.random((TRIED, sizes[0])) < rate
    populations, projections, before = [], [], "input"
    for i, (lines, width) in enumerate(pairwise(sizes)):
        weights = 2 * rng.integers(-30, 31, (width, lines), dtype=np.int32)
        name, none = f"layer{i}", np.zeros(width, np.int32)
        projections.append(Projection(before, name, Weights(weights)))
        arriving = arriving_fixed(projections[-1], tried)
        low, high = 0, 2**17 - 1
        while high - low > 1:
            half = (low + high) // 2
            population = Population(name, width, NO_MEMORY, LEAK, half, none, 6, depth=i + 1)
            tried = step_fixed(population, arriving).spikes
            low, high = (half, high) if tried[SETTLED:].mean() > rate else (low, half)
        populations.append(population)
        before = name
    return _model(Program("fixed", steps, sizes[0], tuple(populations), tuple(projections)))


def conv_net(steps: int, rate: float, rng: np.random.Generator) -> SpikingModel:
    """Three convolutions and a linear layer of IF neurons on events of 34 x 34 x 2, as N-MNIST has them.

    2 -> 16 channels (5 x 5), 16 -> 16 and 16 -> 8 (3 x 3), all with stride 2, then 10 neurons; integers are fitted on
    one item of spikes at `rate`.
    """
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array([2, 34, 34])})}
    side, channels, names = 34, 2, ["input"]
    for i, (out, kernel) in enumerate(((16, 5), (16, 3), (8, 3))):
        weights = rng.normal(0.05, 0.2, (out, channels, kernel, kernel))
        nodes[f"conv{i}"] = nir.Conv2d((side, side), weights, 2, 1, 1, 1, np.zeros(out))
        side, channels = (side + 2 - kernel) // 2 + 1, out
        nodes[f"if{i}"] = _if((channels, side, side), 1.0 + i)
        names += [f"conv{i}", f"if{i}"]
    nodes["flat"] = nir.Flatten({"input": np.array([channels, side, side])}, 0, -1)
    nodes["fc"] = nir.Linear(rng.normal(0.02, 0.2, (10, channels * side * side)))
    nodes["out"], nodes["output"] = _if((10,), 1.0), nir.Output({"output": np.array([10])})
    graph = nir.NIRGraph(nodes, list(pairwise([*names, "flat", "fc", "out", "output"])))
    return model_of_graph(graph, steps, (rng.random((steps, 2 * 34 * 34)) < rate).astype(np.float64))


def lif_net(sizes: Sequence[int], steps: int, rate: float, rng: np.random.Generator) -> SpikingModel:
    """Dense LIF layers of these sizes, tau of 4 steps, as a graph, so that other simulators run it too.

    Integers are fitted on one item of spikes at `rate`, at which all layers fire some 5 to 15 % of the time.
    """
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array([sizes[0]])})}
    names = ["input"]
    for i, (lines, width) in enumerate(pairwise(sizes)):
        none, one = np.zeros(width), np.ones(width)
        spread = 0.9 / np.sqrt(rate * lines)
        nodes[f"fc{i}"] = nir.Linear(rng.normal(0.0, spread, (width, lines)))
        nodes[f"lif{i}"] = nir.LIF(tau=4e-4 * one, r=4 * one, v_leak=none, v_threshold=one, v_reset=none)
        names += [f"fc{i}", f"lif{i}"]
    nodes["output"] = nir.Output({"output": np.array([sizes[-1]])})
    graph = nir.NIRGraph(nodes, list(pairwise([*names, "output"])), metadata={"dt": 1e-4})
    return model_of_graph(graph, steps, (rng.random((steps, sizes[0])) < rate).astype(np.float64))


def _if(shape: tuple[int, ...], threshold: float) -> nir.IF:
    return nir.IF(r=np.ones(shape), v_threshold=np.full(shape, threshold), v_reset=np.zeros(shape))


def one_to_one_net(width: int, steps: int, lanes: int, seed: int = 0) -> tuple[SpikingModel, Floats]:
    """`lanes` images through one LIF layer, whose inputs are whole numbers, one for each neuron, as LoRSP's factors."""
    layer = Population("lif0", width, NO_MEMORY, LEAK, 3000, np.zeros(width, np.int32), 6, depth=1)
    one_to_one = Projection("input", "lif0", Weights(np.full(width, 4, np.int32)))
    model = _model(Program("fixed", steps, width, (layer,), (one_to_one,), input_scale=1.0))
    return model.lanes(lanes), np.random.default_rng(seed).integers(-999, 2000, (steps, width * lanes)).astype(float)


def _model(program: Program) -> SpikingModel:
    return SpikingModel(nir.NIRGraph({}, [], type_check=False), program, program)
