"""Times other libraries' simulators beside the emulator: same net, same input spikes, equal output spikes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroprompt.benchmarks.nets import lif_net
from neuroprompt.benchmarks.rounds import Middle, middle, ratio
from neuroprompt.contracts.deployment import Spikes, SpikingTarget
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.program import SpikingModel

TARGETS = {"snntorch": "float", "norse": "float", "sinabs": "float", "spyx": "float", "nengo-loihi": "fixed"}
"""Simulators that run as targets, and the precision in which the emulator must fire as they do."""
OWN_LOOP = "snntorch, own loop"
"""snnTorch as its users write it: torch.nn.functional.linear and Leaky in float32, step by step."""
FEW, MANY = 64, 1088
ALONE = {"nengo-loihi": (8, 40)}
"""Items of a short and a long run where they run one after the other."""
Fired = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Rival:
    """Items a second of a simulator, and the emulator's over it within a round, in the same precision.

    items_per_second   further items over further seconds of a longer run: the start of a child process, imports and
                       compilation are not in it; None where it is not timed
    batched_over_it    the same of the emulator's batch over it
    why_not            why it is not timed: what to type where it is missing, or how its spikes differ
    """

    precision: str
    items_per_second: float | None = None
    batched_over_it: Middle | None = None
    why_not: str = ""

    def json(self) -> dict[str, object]:
        """The figures."""
        over = self.batched_over_it
        return {
            "precision": self.precision,
            "items_per_second": self.items_per_second,
            "batched_over_it": None if over is None else over.median,
            "quartiles": None if over is None else over.quartiles,
            "why_not": self.why_not,
        }


def bench_rivals(
    sizes: tuple[int, ...],
    steps: int,
    rate: float,
    *,
    rounds: int,
    many: int = MANY,
    targets: Mapping[str, str] = TARGETS,
    progress: Progress = SILENT,
) -> dict[str, Rival]:
    """Every simulator on a net of LIF layers of these sizes, its spikes compared with the emulator's on every run."""
    rng = np.random.default_rng(0)
    model = lif_net(sizes, steps, rate, rng)
    spikes = rng.random((many, steps, sizes[0])) < rate
    expected = {p: SpikingTarget.named("loihi").run(model, spikes, p).spikes for p in ("float", "fixed")}
    rivals = {}
    for name, precision in progress.track({**targets, OWN_LOOP: "float"}.items(), "other simulators"):
        part = SpikingTarget.part("snntorch" if name == OWN_LOOP else name)
        there = part.available()
        if not there.ok:
            rivals[name] = Rival(precision, why_not=f"not installed: {there.fix}")
            continue
        run = _own_loop(model) if name == OWN_LOOP else _target(name, model, precision)
        counts = ALONE.get(name, (FEW, many))
        ours = _target("loihi", model, precision)
        rivals[name] = _timed(run, ours, spikes, expected[precision], counts=counts, rounds=rounds, precision=precision)
    return rivals


Run = Callable[[Spikes], tuple[Fired, float]]


def _timed(
    run: Run, ours: Run, spikes: Spikes, expected: Fired, *, counts: tuple[int, int], rounds: int, precision: str
) -> Rival:
    few, many = (min(count, len(spikes)) for count in counts)
    rival: list[float] = []
    emulator: list[float] = []
    for _ in range(rounds):
        took = []
        for count in (few, many):
            fired, seconds = run(spikes[:count])
            took.append(seconds)
            differing = sum(int(np.sum(fired[name] != array[:count])) for name, array in expected.items())
            if differing:
                cells = sum(array[:count].size for array in expected.values())
                return Rival(precision, why_not=f"its spikes differ in {differing} of {cells} steps of neurons")
        rival.append((took[1] - took[0]) / (many - few))
        emulator.append(ours(spikes)[1] / len(spikes))
    if min(rival) <= 0:
        return Rival(precision, why_not=f"{many - few} items more took no longer: too noisy to say")
    return Rival(precision, 1 / middle(rival).median, ratio(rival, emulator))


def _target(name: str, model: SpikingModel, precision: str) -> Run:
    def run(spikes: Spikes) -> tuple[Fired, float]:
        recording = SpikingTarget.named(name).run(model, spikes, precision)
        return recording.spikes, recording.seconds

    return run


def _own_loop(model: SpikingModel) -> Run:
    """A chain of LIF layers without biases in snnTorch's own terms."""
    import torch
    from snntorch import Leaky

    program = model.float_program
    layers = []
    for q, p in zip(program.projections, program.populations, strict=True):
        beta, threshold = (torch.as_tensor(np.asarray(x, np.float32)) for x in (1 - np.asarray(p.dv), p.vth))
        leaky = Leaky(beta=beta, threshold=threshold, reset_mechanism="zero", reset_delay=False)
        layers.append((p.name, torch.from_numpy(q.weights.dense().astype(np.float32)), leaky))

    def run(spikes: Spikes) -> tuple[Fired, float]:
        start = time.perf_counter()
        steps = torch.from_numpy(spikes).transpose(0, 1).float()
        fired: dict[str, list[torch.Tensor]] = {name: [] for name, _, _ in layers}
        memory = {name: torch.zeros(spikes.shape[0], len(weights)) for name, weights, _ in layers}
        with torch.no_grad():
            for x in steps:
                for name, weights, leaky in layers:
                    x, memory[name] = leaky(torch.nn.functional.linear(x, weights), memory[name])  # noqa: PLW2901
                    fired[name].append(x)
            recorded = {name: torch.stack(each, 1).bool().numpy() for name, each in fired.items()}
        return recorded, time.perf_counter() - start

    return run
