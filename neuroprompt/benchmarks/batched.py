"""Times the emulator on a data set: items one by one, items as a batch, and the first layer's product alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neuroprompt.benchmarks.nets import dense_net
from neuroprompt.benchmarks.rounds import Middles, in_turn, medians, middle, quartiles, ratio
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import ParityError
from neuroprompt.progress import SILENT, Progress

SIZES, STEPS, RATE = (784, 128, 10), 25, 0.1
SINGLE, BATCH = 64, 1024
"""Items that run one by one, and as a batch, in a round."""
LEAST_ROUNDS = 7


@dataclass(frozen=True)
class Batched:
    """Items a second, medians, and ratios within a round of LIF layers of `sizes`, the input lines first.

    single         a run for each item
    batched        one run for all items
    first_product  the float32 matrix product of all steps of those items with the first layer's weights, and no more
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
    model, target = dense_net(SIZES, STEPS, RATE, rng), SpikingTarget.named("loihi")
    spikes = rng.random((BATCH, STEPS, SIZES[0])) < RATE
    lines = spikes.reshape(-1, SIZES[0]).astype(np.float32)
    columns = np.ascontiguousarray(model.fixed_program.projections[0].weights.raw.T, np.float32)
    together = target.run(model, spikes[:SINGLE], "fixed").spikes
    for i, item in enumerate(spikes[:SINGLE]):
        for name, fired in target.run(model, item, "fixed").spikes.items():
            if not np.array_equal(fired, together[name][i]):
                raise ParityError(f"{name} of item {i} differs in a batch", "equal spikes")
    runs = {
        "single": lambda: [target.run(model, item, "fixed") for item in spikes[:SINGLE]],
        "batched": lambda: target.run(model, spikes, "fixed"),
        "first_product": lambda: lines @ columns,
    }
    items = {"single": SINGLE, "batched": BATCH, "first_product": BATCH}
    each = {name: [s / items[name] for s in seconds] for name, seconds in in_turn(runs, rounds, progress).items()}
    return Batched(
        SIZES,
        STEPS,
        RATE,
        {name: 1 / middle(seconds).median for name, seconds in each.items()},
        {f"batched_over_{name}": ratio(each[name], each["batched"]) for name in ("single", "first_product")},
    )
