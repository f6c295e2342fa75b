"""Times the emulator on a data set: items one by one, items as a batch, and the first layer's product alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from neuroprompt.benchmarks.nets import conv_net, dense_net
from neuroprompt.benchmarks.rounds import Middles, in_turn, medians, middle, quartiles, ratio
from neuroprompt.contracts.deployment import Spikes, SpikingTarget
from neuroprompt.errors import ParityError
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.program import SpikingModel

SIZES, STEPS, RATE = (784, 128, 10), 25, 0.1
SINGLE, BATCH = 64, 1024
"""Items that run one by one, and as a batch, in a round."""
CNN_STEPS, CNN_RATE, CNN_SINGLE, CNN_BATCH = 100, 0.02, 4, 128
LEAST_ROUNDS = 7
Runs = dict[str, tuple[Callable[[], object], int]]
"""What is timed, and the items that it runs."""


@dataclass(frozen=True)
class Batched:
    """Items a second, medians, and ratios within a round; `sizes` are the net's lines and layers.

    single         a run for each item
    batched        one run for all items
    first_product  where it is timed: the float32 matrix product of all steps of those items with the first layer's
                   weights, and no more
    """

    sizes: tuple[int, ...]
    steps: int
    rate: float
    items_per_second: Mapping[str, float]
    ratio: Middles

    def json(self) -> dict[str, object]:
        """The figures, quartiles beside medians."""
        return {
            "sizes": list(self.sizes),
            "steps": self.steps,
            "rate": self.rate,
            "items_per_second": dict(self.items_per_second),
            "ratio": medians(self.ratio),
            "quartiles": quartiles(self.ratio),
        }


def bench_batch(*, rounds: int = LEAST_ROUNDS, progress: Progress = SILENT) -> Batched:
    """A net of SIZES on spikes of RATE, in fixed precision; raises ParityError where a batch fires otherwise."""
    rng = np.random.default_rng(0)
    model = dense_net(SIZES, STEPS, RATE, rng)
    spikes = rng.random((BATCH, STEPS, SIZES[0])) < RATE
    lines = spikes.reshape(-1, SIZES[0]).astype(np.float32)
    columns = np.ascontiguousarray(model.fixed_program.projections[0].weights.raw.T, np.float32)
    more: Runs = {"first_product": (lambda: lines @ columns, BATCH)}
    return _timed(model, spikes, SINGLE, RATE, more, rounds=rounds, progress=progress)


def bench_cnn(*, rounds: int = LEAST_ROUNDS, progress: Progress = SILENT) -> Batched:
    """`conv_net` on events at CNN_RATE, in fixed precision; raises ParityError where a batch fires otherwise."""
    rng = np.random.default_rng(0)
    model = conv_net(CNN_STEPS, CNN_RATE, rng)
    spikes = rng.random((CNN_BATCH, CNN_STEPS, model.fixed_program.inputs)) < CNN_RATE
    return _timed(model, spikes, CNN_SINGLE, CNN_RATE, {}, rounds=rounds, progress=progress)


def _timed(
    model: SpikingModel, spikes: Spikes, single: int, rate: float, more: Runs, *, rounds: int, progress: Progress
) -> Batched:
    target = SpikingTarget.named("loihi")
    together = target.run(model, spikes[:single], "fixed").spikes
    for i, item in enumerate(spikes[:single]):
        for name, fired in target.run(model, item, "fixed").spikes.items():
            if not np.array_equal(fired, together[name][i]):
                raise ParityError(f"{name} of item {i} differs in a batch", "equal spikes")
    runs: Runs = {
        "single": (lambda: [target.run(model, item, "fixed") for item in spikes[:single]], single),
        "batched": (lambda: target.run(model, spikes, "fixed"), len(spikes)),
        **more,
    }
    seconds = in_turn({name: run for name, (run, _) in runs.items()}, rounds, progress)
    each = {name: [s / runs[name][1] for s in times] for name, times in seconds.items()}
    program = model.fixed_program
    return Batched(
        (program.inputs, *(p.size for p in program.populations)),
        program.steps,
        rate,
        {name: 1 / middle(times).median for name, times in each.items()},
        {f"batched_over_{name}": ratio(times, each["batched"]) for name, times in each.items() if name != "batched"},
    )
