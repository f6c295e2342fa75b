"""A program as a net in C, with what the emulator does of it; and one with the corners of the integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuroprompt.csource.net import CNet, c_net
from neuroprompt.loihi.arithmetic import simulate_sent
from neuroprompt.loihi.neurons import Trace
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

STEPS = 30


@dataclass(frozen=True)
class Case:
    program: Program
    sent: NDArray[np.generic]
    net: CNet
    traces: Mapping[str, Trace]


def case(program: Program, inputs: NDArray[np.float64], prefix: str = "net") -> Case:
    sent = program.encode(inputs)
    return Case(program, sent, c_net(program, prefix), simulate_sent(program, sent))


def corners() -> tuple[Program, NDArray[np.float64]]:
    """Everything that the integers do at their ends, every form of weights, and names that C does not take."""
    rng = np.random.default_rng(0)
    none, lines = np.zeros(4, np.int32), 5

    def of(name: str, **other: object) -> Population:
        plain = Population(name, 4, du=4095, dv=50, vth=300, bias=none, bias_exp=6, depth=1)
        return replace(plain, **other)  # type: ignore[arg-type]

    def whole(low: int, high: int, *shape: int) -> NDArray[np.int32]:
        return rng.integers(low, high + 1, shape).astype(np.int32)

    own = np.array([0, 50, 700, 4095])
    populations = [
        (of("u wraps", du=0, dv=4095, vth=99999), np.full((4, lines), 255), 7),
        (of("u wraps down", du=0, dv=4095, vth=99999), np.full((4, lines), -255), 7),
        (of("v clips", dv=0, vth=131071), np.full((4, lines), -255), 7),
        (
            of("parameters of each */", du=own, dv=own[::-1], vth=np.array([1, 300, 600, 5000])),
            whole(-256, 254, 4, lines) & ~1,
            2,
        ),
        (of("parameters, of each!", bias=whole(-50, 80, 4)), whole(0, 255, 4, lines), 0),
        (of("??/", depth=0, bias=np.array([-4096, 4095, 1, 0], np.int32), bias_exp=7), whole(-9, 9, 4, lines) & ~1, 0),
        (of("right", vth=40), whole(-256, 254, 4, lines) & ~1, -3),
        (of("holds", hold=True, vth=20), whole(0, 255, 4, lines), 0),
        (
            of("late", currents=((0, whole(-5, 9, 4)), (7, whole(0, 400, 4)), (9, whole(-300, 0, 4)))),
            whole(-255, 0, 4, lines),
            0,
        ),
        (of("never fires", emits="v", unit=2.0, vth=131071, du=77), whole(-255, 0, 4, lines), 1),
        (of("hears nothing", depth=0, bias=whole(1, 40, 4)), np.zeros((4, lines), np.int32), 0),
    ]
    projections = [Projection("input", p.name, Weights(w), exponent=e) for p, w, e in populations]
    sparse = csr_matrix(np.where(rng.random((4, 4)) < 0.4, whole(-100, 100, 4, 4) & ~1, 0))
    projections += [
        Projection("holds", "holds", Weights(whole(-90, 90, 4) & ~1), lag=1),
        Projection("holds", "late", Weights(sparse), lag=3),
        Projection("late", "holds", Weights(np.full(4, 7)), lag=2, exponent=3),
        Projection("input", "right", Weights(whole(0, 200, 4, lines)), lag=2, exponent=-8),
        Projection("right", "never fires", Weights(whole(0, 200, 4, 4)), lag=0),
    ]
    program = Program("fixed", STEPS, lines, tuple(p for p, _, _ in populations), tuple(projections))
    return program, (rng.random((STEPS, lines)) < 0.7).astype(float)
