"""What timing spiking runs gave: seconds and ratios on equal spikes, as nets, lanes and rates grow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neuroprompt.benchmarks.batched import Batched
from neuroprompt.benchmarks.rivals import Rival
from neuroprompt.benchmarks.rounds import Middles, medians, quartiles


@dataclass(frozen=True)
class Timed:
    """Runs of one net, whose spikes were equal: median seconds of each, ratios within a round, and the spikes."""

    seconds: Mapping[str, float]
    ratio: Middles
    spikes: int

    def json(self) -> dict[str, object]:
        """The figures, quartiles beside medians."""
        return {"seconds": dict(self.seconds), "ratio": medians(self.ratio), "quartiles": quartiles(self.ratio)}


@dataclass(frozen=True)
class Grown:
    """Runs of a net of `depth` layers of `width` neurons, for `steps` steps."""

    width: int
    depth: int
    steps: int
    timed: Timed

    @property
    def ms(self) -> dict[str, float]:
        """Milliseconds a step, by run; the start included."""
        return {name: 1e3 * seconds / self.steps for name, seconds in self.timed.seconds.items()}

    def json(self) -> dict[str, object]:
        """The figures, with the net's size."""
        more = {"spikes": self.timed.spikes, "width": self.width, "depth": self.depth, "ms": self.ms}
        return self.timed.json() | more


@dataclass(frozen=True)
class Sparse:
    """The emulator's milliseconds a step by the rate at which all layers fire, and the ratio to the highest rate's."""

    ms: Mapping[str, float]
    ratio: Middles

    def json(self) -> dict[str, object]:
        """The figures, quartiles beside medians."""
        return {"ms": dict(self.ms), "ratio": medians(self.ratio), "quartiles": quartiles(self.ratio)}


@dataclass(frozen=True)
class SpikingBenchmark:
    """Lava, a plain converter's script and the emulator on the same nets (`neuroprompt.benchmarks.spiking`).

    `lava` is None, or what to do where Lava's runtime is not built; then its columns are left out. `lanes` is by the
    number of images side by side, `sparse` by the number of steps. `again` is Lava's first and second run of a program,
    `again_mlp` that of the net of `batch`.
    """

    steps: int
    width: int
    layers: int
    rounds: int
    lava: str | None
    converter: Timed
    lanes: Mapping[int, Timed]
    grid: tuple[Grown, ...]
    sparse: Mapping[int, Sparse]
    batch: Batched
    cnn: Batched
    again: Timed | None = None
    again_mlp: Timed | None = None
    rivals: Mapping[str, Rival] = field(default_factory=dict)

    def per_image(self, lanes: int) -> dict[str, float]:
        """Seconds an image with so many side by side, by run."""
        return {name: seconds / lanes for name, seconds in self.lanes[lanes].seconds.items()}

    def json(self) -> dict[str, object]:
        """The figures by what grows."""
        return {
            "steps": self.steps,
            "width": self.width,
            "layers": self.layers,
            "rounds": self.rounds,
            "lava": self.lava,
            "converter": self.converter.json(),
            "spikes": self.converter.spikes,
            "lanes": {
                str(n): timed.json() | {"spikes": timed.spikes, "per_image": self.per_image(n)}
                for n, timed in self.lanes.items()
            },
            "grid": {f"{net.width}x{net.depth}": net.json() for net in self.grid},
            "batch": self.batch.json() | {"rivals": {name: rival.json() for name, rival in self.rivals.items()}},
            "batch_cnn": self.cnn.json(),
            "lava_again": None if self.again is None else self.again.json(),
            "lava_again_mlp": None if self.again_mlp is None else self.again_mlp.json(),
            "sparse": {str(n): sparse.json() for n, sparse in self.sparse.items()},
        }
