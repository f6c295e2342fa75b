"""Xylo's neuron in ten lines of plain Python: our emulator's, bit by bit, and how it differs from NIR's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights
from neuroprompt.xylo.arithmetic import simulate

Reset = Callable[[int, int], tuple[int, int]]


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


def test_this_is_our_emulators_neuron() -> None:
    """Which is xylosim's: tests/targets/test_xylo.py."""
    for neuron in generated(200):
        lines = len(neuron.weights)
        numbers = {"du": neuron.dash_syn, "dv": neuron.dash_mem, "vth": neuron.threshold, "bias": np.zeros(1, np.int32)}
        population = Population("p", 1, **numbers, reset="subtract")  # type: ignore[arg-type]
        into = Projection("input", "p", Weights(np.array([neuron.weights])))
        program = Program("fixed", len(neuron.inputs), lines, (population,), (into,), chip="xylo")
        trace = simulate(program, np.array(neuron.inputs))["p"]
        assert [rows.reshape(-1).tolist() for rows in (trace.i, trace.v, trace.counts)] == run(neuron)


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
