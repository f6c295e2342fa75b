"""Runs as Recordings, and the run itself for simulators that step their own neurons."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Recording
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import Population, Program
from neuroprompt.workers import stepwise


def check_hold(program: Program) -> None:
    """Raise Unsupported for neurons that rest in the step after a spike, which few simulators have."""
    for p in program.populations:
        if p.hold:
            got = f"node {p.name!r} rests in the step after a spike (--from snntorch)"
            raise Unsupported(got, "neurons without a refractory period", "reset_delay=False in snnTorch")


def check_late(population: Population, who: str) -> None:
    """Raise Unsupported for a reset that subtracts in the next step, after the leak, which `who` does not have."""
    if population.reset == "late":
        got = f"node {population.name!r} subtracts its threshold in the step after a spike"
        raise Unsupported(got, f"a reset in the step of the spike, as {who} has it", "reset_delay=False in snnTorch")


def check_lines(program: Program, inputs: NDArray[Any]) -> None:
    """Raise Unsupported where `inputs` (..., n_in) have not as many lines as the program."""
    if inputs.shape[-1] != program.inputs:
        raise Unsupported(f"inputs of shape {inputs.shape[-2:]}", f"(T, {program.inputs}): steps, input lines")


def run_in_process(
    program: Program, inputs: NDArray[Any], make: Callable[[dict[str, Any]], stepwise.Step], states: bool
) -> Recording:
    """Run a float program in this process, all items of `inputs` (B, T, n_in) side by side.

    `make` gives the step function of a population (`stepwise.run`).
    """
    check_lines(program, inputs)
    start = time.perf_counter()
    traces = stepwise.run(program.spec(), inputs, make)
    return recorded(program, traces, time.perf_counter() - start, states)


def recorded(program: Program, traces: dict[str, dict[str, Any]], seconds: float, states: bool) -> Recording:
    """What `stepwise.run` returns as a Recording: spikes as bool, values of populations that never fire."""
    firing = [p.name for p in program.populations if p.emits == "spikes"]
    return Recording(
        spikes={name: traces["out"][name] > 0 for name in firing},
        seconds=seconds,
        values={p.name: traces["out"][p.name] for p in program.populations if p.emits != "spikes"},
        v={name: traces["v"][name] for name in firing} if states else {},
    )


def recording(program: Program, traces: dict[str, Any], seconds: float, states: bool) -> Recording:
    """What a chip's run recorded ("spikes.NAME", "u.NAME", "v.NAME") as a Recording; rows are the graph's steps.

    Arrays are (..., T, n). Potentials are in the program's units; values of populations that never fire in the graph's.
    """
    firing = [p.name for p in program.populations if p.emits == "spikes"]
    return Recording(
        spikes={name: traces[f"spikes.{name}"] for name in firing},
        seconds=seconds,
        values={p.name: traces[f"v.{p.name}"] / p.unit for p in program.populations if p.emits == "v"},
        v={name: traces[f"v.{name}"] for name in firing} if states else {},
        u={name: traces[f"u.{name}"] for name in firing if f"u.{name}" in traces} if states else {},
        delay={p.name: p.depth for p in program.populations},
    )
