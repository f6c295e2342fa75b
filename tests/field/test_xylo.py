"""Why there is no target for Xylo: its neuron in integers, equal to xylosim's, beside the reset of NIR.

xylosim 0.1.3 states no licence, so nothing here installs it. With a folder of your own it is asked too:

    pip install --no-deps --target FOLDER xylosim==0.1.3
    NEUROPROMPT_XYLOSIM=FOLDER pytest tests/field/test_xylo.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pytest

Reset = Callable[[int, int], tuple[int, int]]
ITS_OWN = """
import json, os, sys
from xylosim.v2 import XyloLayer, XyloSynapse
answers = []
for n in json.load(sys.stdin):
    lines, hidden, readouts = 16, 4, 8
    parts = (
        [[XyloSynapse(0, 0, w)] for w in n["weights"]] + [[] for _ in range(lines - len(n["weights"]))],
        [[] for _ in range(hidden)], [[] for _ in range(hidden)], [[] for _ in range(hidden)],
        [n["threshold"]] * hidden, [1000] * readouts, False, [0] * hidden, [0] * readouts, 0, 0, 0,
        [n["dash_mem"]] * hidden, [1] * readouts, [[n["dash_syn"], 1] for _ in range(hidden)],
        [[1] for _ in range(readouts)], "layer",
    )
    layer = XyloLayer(*parts)
    layer.evolve([row + [0] * (lines - len(row)) for row in n["inputs"]])
    fired = [row[0] for row in layer.rec_recurrent_spikes]
    answers.append([list(layer.rec_i_syn[0]), list(layer.rec_v_mem[0]), fired])
print(json.dumps(answers), flush=True)
os._exit(0)  # its destructor fails
"""


@dataclass(frozen=True)
class Neuron:
    """Weights of its lines, the two decays as shifts, its threshold, and what its lines send, (steps, lines)."""

    weights: list[int]
    dash_syn: int
    dash_mem: int
    threshold: int
    inputs: list[list[int]]


def subtracts(v: int, threshold: int) -> tuple[int, int]:
    """Xylo's reset: the threshold goes off as often as it fits, at most 31 times."""
    spikes = min(31, max(0, v) // threshold)
    return v - spikes * threshold, spikes


def to_zero(v: int, threshold: int) -> tuple[int, int]:
    """NIR's reset, with v_reset 0; integers are at the threshold where they are above the integer below it."""
    return (0, 1) if v >= threshold else (v, 0)


def run(neuron: Neuron, reset: Reset = subtracts) -> list[list[int]]:
    """i, v and spikes of every step: i <- dec(i + W x), v <- dec(v) + i, in 16 bits that saturate; then the reset.

    dec(x) = x - (x >> dash), and at least 1 less for x > 0.
    """

    def decayed(x: int, dash: int) -> int:
        return x - (x >> dash or int(x > 0))

    def saturated(x: int) -> int:
        return min(2**15 - 1, max(-(2**15), x))

    i, v, rows = 0, 0, []
    for x in neuron.inputs:
        i = decayed(saturated(i + int(np.dot(neuron.weights, x))), neuron.dash_syn)
        v, spikes = reset(saturated(decayed(v, neuron.dash_mem) + i), neuron.threshold)
        rows.append((i, v, spikes))
    return [list(column) for column in zip(*rows, strict=True)]


def generated(count: int, steps: int = 40) -> Sequence[Neuron]:
    rng = np.random.default_rng(0)
    return [
        Neuron(
            rng.integers(-60, 128, lines).tolist(),
            int(rng.integers(1, 6)),
            int(rng.integers(1, 8)),
            int(rng.integers(20, 800)),
            (rng.random((steps, lines)) < 0.3).astype(int).tolist(),
        )
        for lines in rng.integers(1, 8, count)
    ]


def test_this_is_xylosims_neuron() -> None:
    folder = os.environ.get("NEUROPROMPT_XYLOSIM")
    if not folder:
        pytest.skip("needs xylosim 0.1.3 in the folder that NEUROPROMPT_XYLOSIM names")
    neurons = generated(200)
    done = subprocess.run(
        [sys.executable, "-c", ITS_OWN],
        input=json.dumps([asdict(neuron) for neuron in neurons]),
        env=os.environ | {"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert json.loads(done.stdout) == [run(neuron) for neuron in neurons]


def test_a_current_has_memory_or_is_lost() -> None:
    """NIR's IF and LIF take an input whole, in its step; here half of it is the most, and then it stays for long."""
    impulse = [[1], *([[0]] * 7)]
    for dash, i in ((0, [0] * 8), (1, [32, 16, 8, 4, 2, 1, 0, 0]), (7, [64, 63, 62, 61, 60, 59, 58, 57])):
        assert run(Neuron([64 if dash < 7 else 65], dash, 7, 2**15 - 1, impulse))[0] == i


def test_a_neuron_fires_several_times_and_keeps_what_is_over() -> None:
    assert run(Neuron([127], 1, 7, 20, [[1], [0], [0], [0]])) == [[64, 32, 16, 8], [4, 15, 10, 17], [3, 1, 1, 0]]


def test_few_neurons_fire_alike_with_the_reset_of_nir() -> None:
    """The same integers, currents and leaks: only the reset differs."""
    fired = alike = 0
    for neuron in generated(1000):
        spikes, zero = run(neuron)[2], run(neuron, to_zero)[2]
        if sum(zero) >= 3:
            fired += 1
            alike += spikes == zero
    assert (fired, alike) == (724, 33)  # as docs/explain/simulators.md has it
