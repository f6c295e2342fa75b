"""Random nets, and the definition of a population in a few lines, which every simulator must meet spike by spike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from program_bounds import apart
from scipy.sparse import csr_matrix

from neuroprompt.compiler.conventions import Reset
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

Floats = NDArray[np.float64]
STEPS = 25


def define(program: Program, inputs: Floats) -> dict[str, tuple[Floats, Floats]]:
    """What every population sends, and its v after the reset, (T, n) each: the meaning of a float program."""
    out = {"input": inputs} | {p.name: np.zeros((len(inputs), p.size)) for p in program.populations}
    # The last row stands for the time before the first step.
    u, v = ({p.name: np.zeros((len(inputs) + 1, p.size)) for p in program.populations} for _ in range(2))
    for t in range(len(inputs)):
        for p in program.populations:
            a = sum((values for onset, values in p.currents if onset <= t), np.zeros(p.size))
            for q in program.into(p.name):
                if t >= q.lag:
                    a = a + q.weights.dense() @ out[q.source][t - q.lag]
            u[p.name][t] = u[p.name][t - 1] * (1 - p.du) + a
            potential = v[p.name][t - 1] * (1 - p.dv) + u[p.name][t] + p.bias
            if p.reset == "late" and t:
                potential = np.where(out[p.name][t - 1] > 0, potential - p.vth, potential)
            fired = potential > p.vth
            after = {"value": p.v_reset, "subtract": potential - p.vth, "late": potential}[p.reset]
            v[p.name][t] = np.where(fired, after, potential)
            out[p.name][t] = fired if p.emits == "spikes" else potential
    return {p.name: (out[p.name], v[p.name][:-1]) for p in program.populations}


def net(
    rng: np.random.Generator,
    kinds: tuple[str, ...],
    silent: tuple[str, ...],
    resets: bool,
    subtracting: tuple[Reset, ...] = (),
) -> Program:
    """One to three layers of `kinds`, the last perhaps of `silent`, which never fires.

    `resets`: some reset to values other than 0; with `subtracting` all that fire have a reset of these. Its numbers are
    any, or quarters, with which v often equals vth; there is one for a layer, or one for each neuron.
    """
    quarters, each = rng.random(2) < 0.5
    sizes = rng.integers(2, 6, rng.choice((2, 2, 3, 4))).tolist()

    def numbers(size: Any, low: float, high: float) -> Any:
        return rng.integers(round(low * 4), round(high * 4) + 1, size) / 4 if quarters else rng.uniform(low, high, size)

    populations, projections = [], []
    for i, (n_in, n) in enumerate(pairwise(sizes), start=1):
        name, before, shape = f"p{i}", f"p{i - 1}" if i > 1 else "input", n if each else ()
        kind = str(rng.choice((*kinds, *silent) if 1 < i == len(sizes) - 1 else kinds))
        fires, resets_here, biased, driven, recurrent = (kind not in silent, *(rng.random(4) < 0.5))
        reset: Reset = subtracting[int(rng.integers(len(subtracting)))] if fires and subtracting else "value"
        populations.append(
            Population(
                name,
                n,
                du=numbers(shape, 0.25, 0.75) if "Cuba" in kind else 1.0,
                dv=numbers(shape, 0.25, 0.75) if "L" in kind else 0.0,
                vth=numbers(shape, 0.5, 2) if fires else np.inf,
                v_reset=numbers(shape, -1, 0.25) if fires and resets and resets_here and not subtracting else 0.0,
                reset=reset,
                bias=numbers(n, -0.25, 0.5) if biased else np.zeros(n),
                currents=((int(rng.integers(9)), numbers(n, -0.25, 1)),) if driven else (),
                emits="spikes" if fires else "v",
            )
        )
        weights = numbers((n, n_in), -0.75, 1.5)
        weights = csr_matrix(weights) if i > 1 and rng.random() < 0.5 else weights
        projections.append(Projection(before, name, Weights(weights), lag=int(rng.integers(3))))
        if fires and recurrent:
            shape = (n, n) if rng.random() < 0.5 else n
            projections.append(Projection(name, name, Weights(numbers(shape, -0.5, 0.5)), lag=1))
    return Program("float", STEPS, sizes[0], tuple(populations), tuple(projections))


def side_by_side(programs: list[Program]) -> Program:
    """All of them as one program, each with input lines of its own: one run, and one child process, for many nets."""
    lines = sum(program.inputs for program in programs)

    def parts() -> Iterator[Population | Projection]:
        first = 0
        for i, program in enumerate(programs):
            of = {p.name: f"net{i}.{p.name}" for p in program.populations} | {"input": "input"}
            for q in program.projections:
                weights = q.weights
                if q.source == "input":
                    weights = Weights(np.pad(weights.raw, ((0, 0), (first, lines - first - program.inputs))))
                yield replace(q, source=of[q.source], target=of[q.target], weights=weights)
            yield from (replace(p, name=of[p.name]) for p in program.populations)
            first += program.inputs

    both = list(parts())
    populations = tuple(p for p in both if isinstance(p, Population))
    return Program("float", STEPS, lines, populations, tuple(p for p in both if isinstance(p, Projection)))


@pytest.fixture(scope="session")
def model_of() -> Callable[..., SpikingModel]:
    """Populations and projections as a model, for `inputs` lines."""

    def model(inputs: int, *parts: Population | Projection) -> SpikingModel:
        populations = tuple(p for p in parts if isinstance(p, Population))
        projections = tuple(p for p in parts if isinstance(p, Projection))
        program = Program("float", STEPS, inputs, populations, projections)
        return SpikingModel(nir.NIRGraph({}, []), program, program)

    return model


@pytest.fixture(scope="session")
def agrees() -> Callable[..., tuple[int, ...]]:
    """Runs a target on random nets against the definition, and gives how many nets fired and all their spikes.

    `runs` runs of `together` nets each; of their input lines half carry spikes, half numbers. All spikes must be equal.
    With `subtracting` resets all that fire have one of these; `beside` so many nets without them are in the same run,
    and their two figures come behind those of the others.
    """

    def check(
        target: SpikingTarget,
        *,
        kinds: tuple[str, ...] = ("IF", "LIF", "CubaLIF"),
        silent: tuple[str, ...] = ("I", "LI", "CubaLI"),
        resets: bool = True,
        subtracting: tuple[Reset, ...] = (),
        runs: int = 40,
        together: int = 10,
        beside: int = 0,
    ) -> tuple[int, ...]:
        counts: tuple[list[int], list[int]] = ([], [])

        @settings(max_examples=runs, deadline=None, database=None, phases=[Phase.generate])  # a seed does not shrink
        @given(st.integers(0, 2**32 - 1))
        def compare(seed: int) -> None:
            rng = np.random.default_rng(seed)
            nets = [net(rng, kinds, silent, resets, subtracting) for _ in range(together)]
            nets += [net(rng, kinds, silent, resets) for _ in range(beside)]
            program = side_by_side(nets)
            shape = (STEPS, program.inputs)
            graded = rng.random(program.inputs) < 0.5
            inputs = np.where(graded, rng.normal(0.5, 1, shape), rng.random(shape) < 0.5)
            found = target.run(SpikingModel(nir.NIRGraph({}, []), program, program), inputs, "float", states=True)
            fired: dict[str, int] = {}
            right = define(program, inputs)
            bounds = apart(program, inputs, {name: right[name][0] for name in found.spikes})
            for name, (out, v) in right.items():
                if name in found.values:
                    assert (np.abs(found.values[name] - out) <= bounds[name]).all(), name
                    continue
                np.testing.assert_array_equal(found.spikes[name], out, err_msg=name)
                assert (np.abs(found.v[name] - v) <= bounds[name]).all(), name
                fired[name.split(".")[0]] = fired.get(name.split(".")[0], 0) + int(out.sum())
            for name, spikes in fired.items():
                if spikes:
                    counts[int(name.removeprefix("net")) >= together].append(spikes)

        compare()
        return tuple(figure for group in counts[: 2 if beside else 1] for figure in (len(group), sum(group)))

    return check
