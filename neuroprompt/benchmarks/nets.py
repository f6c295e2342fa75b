"""Random nets in the chip's integers, for timing: dense layers that fire at a rate, and one-to-one neurons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Floats
from neuroprompt.loihi.arithmetic import step_fixed
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


def one_to_one_net(width: int, steps: int, lanes: int, seed: int = 0) -> tuple[SpikingModel, Floats]:
    """`lanes` images through one LIF layer, whose inputs are whole numbers, one for each neuron, as LoRSP's factors."""
    layer = Population("lif0", width, NO_MEMORY, LEAK, 3000, np.zeros(width, np.int32), 6, depth=1)
    one_to_one = Projection("input", "lif0", Weights(np.full(width, 4, np.int32)))
    model = _model(Program("fixed", steps, width, (layer,), (one_to_one,), input_scale=1.0))
    return model.lanes(lanes), np.random.default_rng(seed).integers(-999, 2000, (steps, width * lanes)).astype(float)


def _model(program: Program) -> SpikingModel:
    return SpikingModel(nir.NIRGraph({}, [], type_check=False), program, program)
