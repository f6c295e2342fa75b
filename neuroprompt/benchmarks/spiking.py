"""Times our Lava run beside a plain converter's, and the emulator beside Lava, on random nets, in one run.

`neuroprompt.loihi.synapses.weighted_sums` says what was tried and tuned in the emulator.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroprompt.benchmarks.batched import LEAST_ROUNDS, RATE, SIZES, STEPS, bench_batch, bench_cnn
from neuroprompt.benchmarks.nets import dense_net, one_to_one_net, random_net
from neuroprompt.benchmarks.rivals import MANY, TARGETS, bench_rivals
from neuroprompt.benchmarks.rounds import in_turn, middle, ratio
from neuroprompt.benchmarks.spiking_result import Grown, Sparse, SpikingBenchmark, Timed
from neuroprompt.contracts.deployment import Floats, SpikingTarget, Target
from neuroprompt.errors import BadSetting, ParityError
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.staying import end_all
from neuroprompt.spiking.program import SpikingModel

LANES, RATES, DEPTHS = (1, 2, 4, 8, 16), ("0.01", "0.05", "0.1", "0.2", "0.5"), (1, 2, 4, 8)
TIME_LIMIT = 600.0
Fired = Mapping[str, NDArray[np.bool_]]
Run = Callable[[], tuple[Fired, float]]
"""Spikes of every population, and the seconds of run() alone where Lava has one."""


def bench_spiking(
    *,
    steps: int = 100,
    width: int = 2048,
    layers: int = 3,
    rounds: int = 3,
    rivals: Mapping[str, str] = TARGETS,
    rival_items: int = MANY,
    progress: Progress = SILENT,
) -> SpikingBenchmark:
    """Seconds of Lava, a plain Lava script and the emulator on the same random nets; ratios only within one round.

    converter  our Lava run beside `workers/plain_lava.py`, whole (the child's start and the read-out included) and
               run() alone, and the emulator (range check included), on `layers` layers of `width` neurons; their spikes
               must be equal
    lanes      images side by side
    grid       as width and depth grow
    again      Lava as a target runs it: the first run of a program, and the second, by the worker of the first; on the
               same net, and (again_mlp) on that of `batch`; what is left of a second run are Lava's steps
    batch      items a second of a multilayer perceptron, one by one and as a batch (`neuroprompt.benchmarks.batched`)
    cnn        the same of a convolutional net
    rivals     items a second of other simulators, by name with their precision, on a net of the same sizes
    sparse     the emulator by the rate at which all layers fire, for `steps` and for ten times as many

    Raises BadSetting, and ParityError.
    """
    if min(steps, width, layers, rounds) < 1:
        got = f"steps {steps}, width {width}, layers {layers}, rounds {rounds}"
        raise BadSetting(got, "each at least 1")
    there = Target.part("lava").available()
    sizes = [(w, 1) for w in (max(1, width // 8), max(1, width // 2), 2 * width)]
    sizes += [(sizes[1][0], depth) for depth in DEPTHS[1:]]
    converter = _timed(
        _runs(random_net(width, layers, steps), there.ok, plain=True), rounds, progress, "ours and plain"
    )
    lanes = {
        n: _timed(_runs(one_to_one_net(width, steps, n), there.ok), rounds) for n in progress.track(LANES, "lanes")
    }
    grid = tuple(
        Grown(w, d, steps, _timed(_runs(random_net(w, d, steps), there.ok), rounds))
        for w, d in progress.track(sizes, "width and depth")
    )
    return SpikingBenchmark(
        steps=steps,
        width=width,
        layers=layers,
        rounds=rounds,
        lava=None if there.ok else there.fix,
        converter=converter,
        lanes=lanes,
        grid=grid,
        again=_again(random_net(width, layers, steps), rounds, progress) if there.ok else None,
        again_mlp=_again(_mlp(), rounds, progress) if there.ok else None,
        batch=bench_batch(rounds=max(rounds, LEAST_ROUNDS), progress=progress),
        cnn=bench_cnn(rounds=rounds, progress=progress),
        rivals=bench_rivals(SIZES, STEPS, RATE, rounds=rounds, many=rival_items, targets=rivals, progress=progress),
        sparse={n: _sparse(width, layers, n, rounds, progress) for n in (steps, 10 * steps)},
    )


def _sparse(width: int, layers: int, steps: int, rounds: int, progress: Progress) -> Sparse:
    seconds = in_turn({r: _emulator(*random_net(width, layers, steps, float(r))) for r in RATES}, rounds, progress)
    return Sparse(
        ms={r: 1e3 * middle(times).median / steps for r, times in seconds.items()},
        ratio={r: ratio(times, seconds[RATES[-1]]) for r, times in seconds.items()},
    )


def _mlp() -> tuple[SpikingModel, Floats]:
    """The net of `bench_batch`, and one item."""
    rng = np.random.default_rng(0)
    return dense_net(SIZES, STEPS, RATE, rng), (rng.random((STEPS, SIZES[0])) < RATE).astype(np.float64)


def _again(net: tuple[SpikingModel, Floats], rounds: int, progress: Progress) -> Timed:
    """The first and the second run of a program in a round; raises ParityError."""
    model, inputs = net
    target = SpikingTarget.named("lava", time_limit=TIME_LIMIT)
    expected = SpikingTarget.named("loihi").run(model, inputs, "fixed").spikes
    seconds: dict[str, list[float]] = {"first": [], "second": []}
    for _ in progress.track(range(rounds), "Lava's second run"):
        end_all()
        for name, times in seconds.items():
            start = time.perf_counter()
            spikes = target.run(model, inputs, "fixed").spikes
            times.append(time.perf_counter() - start)
            if any(not np.array_equal(spikes[key], fired) for key, fired in expected.items()):
                raise ParityError(f"spikes of Lava's {name} run differ from the emulator's", "equal spikes")
    end_all()
    return Timed(
        seconds={name: middle(times).median for name, times in seconds.items()},
        ratio={"second_over_first": ratio(seconds["second"], seconds["first"])},
        spikes=sum(int(fired.sum()) for fired in expected.values()),
    )


def _runs(net: tuple[SpikingModel, Floats], lava: bool, plain: bool = False) -> dict[str, Run]:
    runs: dict[str, Run] = {"emulator": _emulator(*net)}
    scripts = {"lava": "run_lava.py"} | ({"plain": "plain_lava.py"} if plain else {})
    return runs | {name: partial(_worker, script, *net) for name, script in scripts.items() if lava}


def _emulator(model: SpikingModel, inputs: Floats) -> Run:
    target = SpikingTarget.named("loihi")
    return lambda: ({f"spikes.{k}": s for k, s in target.run(model, inputs, "fixed").spikes.items()}, 0.0)


def _worker(script: str, model: SpikingModel, inputs: Floats) -> tuple[Fired, float]:
    """A fixed program run by a script in Lava's runtime: spikes of every population, and the seconds of run() alone."""
    with tempfile.TemporaryDirectory(prefix="np-") as name:
        program, data, out = (Path(name) / file for file in ("program.npz", "inputs.npy", "spikes.npz"))
        program.write_bytes(model.fixed_program.to_bytes())
        np.save(data, inputs, allow_pickle=False)
        arguments = ["--program", str(program), "--inputs", str(data), "--out", str(out)]
        lava = Target.part("lava")
        assert issubclass(lava, OwnRuntimeTarget)
        printed = lava.runtime.run(WORKERS / script, arguments, TIME_LIMIT)
        took = next(line.split()[2] for line in printed.splitlines() if line.startswith("run() took"))
        with np.load(out, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}, float(took)


def _timed(runs: Mapping[str, Run], rounds: int, progress: Progress = SILENT, what: str = "") -> Timed:
    """All runs in turn, after one round that warms up and whose spikes must be equal; raises ParityError."""
    first = {name: run()[0] for name, run in runs.items()}
    for name, fired in first.items():
        for key, spikes in first["emulator"].items():
            if not np.array_equal(fired[key], spikes):
                raise ParityError(f"{key} of {name} differ from the emulator's", "equal spikes")
    seconds: dict[str, list[float]] = {}
    for i in progress.track(range(rounds), what):
        for name in sorted(runs, reverse=bool(i % 2)):
            start = time.perf_counter()
            alone = runs[name]()[1]
            seconds.setdefault(name, []).append(time.perf_counter() - start)
            if alone:
                seconds.setdefault(f"{name} run()", []).append(alone)
    pairs = {f"{name}_over_emulator": (name, "emulator") for name in runs if name != "emulator"}
    if "plain" in runs:
        pairs |= {"plain_over_lava": ("plain", "lava"), "plain_over_lava_run": ("plain run()", "lava run()")}
    return Timed(
        seconds={name: middle(times).median for name, times in seconds.items()},
        ratio={key: ratio(seconds[a], seconds[b]) for key, (a, b) in pairs.items()},
        spikes=sum(int(spikes.sum()) for spikes in first["emulator"].values()),
    )
