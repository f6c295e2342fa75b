"""The bounds of a step's time hold SANA-FE's own time of the same net on the same cores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroprompt.compiler.mapping import Placement, mapped
from neuroprompt.energy.chip_events import chip_events
from neuroprompt.energy.latency import Latency, latency
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

STEPS = 12


def picoseconds(seconds: float) -> int:
    """Whole numbers: the figures have tenths of a nanosecond."""
    return round(seconds * 1e12)


def net(lines: int, sizes: tuple[int, ...], share: float, rng: np.random.Generator) -> Program:
    """Input lines that reach populations of their own, each with some of all weights; no neuron fires."""
    populations = tuple(
        Population(f"p{i}", n, 4095, 0, 131071, np.zeros(n, np.int32), 6, depth=1) for i, n in enumerate(sizes)
    )
    weights = [Weights((rng.random((n, lines)) < share).astype(np.int32)) for n in sizes]
    projections = tuple(Projection("input", f"p{i}", w) for i, w in enumerate(weights))
    return Program("fixed", STEPS, lines, populations, projections)


def estimated(program: Program, sent: Any) -> tuple[Placement, Latency]:
    silent = {p.name: np.zeros((STEPS, p.size), bool) for p in program.populations}
    placement = mapped(program, silent | {"input": sent})
    never = {name: np.zeros(spikes.shape, np.int32) for name, spikes in silent.items()}
    return placement, latency(chip_events(program, silent | {"input": sent}, never, placement))


def simulated(sanafe: Any, program: Program, sent: Any, placement: Placement) -> float:
    """Seconds of the run; the input lines are on the last core of the first tile, which is free."""
    chip, network = sanafe.load_loihi(), sanafe.Network()
    lines = network.create_neuron_group("lines", program.inputs)
    for i, line in enumerate(lines):
        line.set_attributes(
            soma_hw_name=f"loihi_inputs[{i}]", model_attributes={"spikes": [*sent[:, i].astype(int).tolist(), 0]}
        )
        line.map_to_core(chip.tiles[0].cores[3])
    used: dict[Any, int] = {}
    at = {}
    for core in placement.cores:
        number = used[core.tile] = used.get(core.tile, -1) + 1
        (name,) = core.holds
        at[name] = chip.tiles[core.tile[0] * 4 + core.tile[1]].cores[number]
    never = {"threshold": 1e9, "leak_decay": 1.0, "reset_mode": "hard"}
    for p, q in zip(program.populations, program.projections, strict=True):
        group = network.create_neuron_group(p.name, p.size, model_attributes=never)
        matrix = q.weights.dense()
        for i, neuron in enumerate(group):
            neuron.set_attributes(soma_hw_name="loihi_lif")
            neuron.map_to_core(at[p.name])
            for j in np.flatnonzero(matrix[i]):
                lines[int(j)].connect_to_neuron(neuron, {"weight": 1.0})
    whole = sanafe.SpikingChip(chip)
    whole.load(network)
    return float(whole.sim(STEPS + program.depth)["sim_time"])


@pytest.mark.parametrize(
    ("lines", "sizes", "share", "rate"),
    [
        (1, (1,), 1.0, 1.0),
        (5, (40,), 1.0, 0.0),
        (10, (50,), 1.0, 1.0),
        (20, (700, 600), 0.2, 0.3),
        (40, (600, 600, 600), 0.1, 0.5),
    ],
)
def test_sana_fes_time_lies_between_the_bounds(
    sanafe: Any, lines: int, sizes: tuple[int, ...], share: float, rate: float
) -> None:
    rng = np.random.default_rng(lines)
    program = net(lines, sizes, share, rng)
    sent = rng.random((STEPS, lines)) < rate
    placement, bounds = estimated(program, sent)
    assert len(placement.cores) == len(sizes)
    low, theirs, high = map(
        picoseconds, (bounds.run_low_s, simulated(sanafe, program, sent, placement), bounds.run_high_s)
    )
    assert low <= theirs <= high
    assert high < 3 * low  # neurons take up to 9.7 / 6 of their least, and messages are added, not beside them


def test_a_step_by_hand() -> None:
    """Two neurons behind three lines, all of which spike; one of the neurons fires, at nobody."""
    population = Population("p", 2, 4095, 0, 1, np.zeros(2, np.int32), 6, depth=1)
    weights = Weights(np.array([[1, 1, 1], [1, 0, 0]], np.int32))
    program = Program("fixed", 1, 3, (population,), (Projection("input", "p", weights),))
    spikes = {"p": np.array([[True, False]])}
    events = chip_events(
        program, spikes | {"input": np.ones((1, 3), bool)}, {"p": np.zeros((1, 2))}, mapped(program, spikes)
    )
    bounds = latency(events)
    arriving, second = 3 * 16.0 + 4 * 3.8, 2 * (6.0 + 3.7) + 30.0
    assert picoseconds(bounds.run_low_s) == round((2 * 600 + arriving + second) * 1e3)
    assert picoseconds(bounds.run_high_s) == round((2 * 600 + arriving + max(2 * 6.0, 3 * 5.1) + second) * 1e3)
    # Messages come every 5.1 ns and take 19.8 or more, so the core is never without one after the first.
    assert picoseconds(bounds.run_s) == round((2 * 600 + 5.1 + arriving + second) * 1e3)
    assert bounds.bottleneck == 0
    assert (bounds.steps, bounds.step_s) == (2, bounds.run_s / 2)
