"""The contracts of what is deployed: Target, Exporter, Prices. They meet at the graph, the program and the bundle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import Unsupported
from neuroprompt.plugin import Plugin
from neuroprompt.progress import SILENT, Progress

if TYPE_CHECKING:
    from neuroprompt.bundles.artefact import Artefact
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.contracts.tuning import Tuning
    from neuroprompt.contracts.wide import Wide
    from neuroprompt.spiking.program import Program, SpikingModel
    from neuroprompt.training.run_folder import Run

Floats = NDArray[np.floating[Any]]
Spikes = NDArray[np.bool_]


@dataclass(frozen=True)
class Recording:
    """What a target did: spikes (T, n) of every neuron node, potentials where asked for, and the seconds it took.

    Of a batch of B runs every array has the runs as its first axis: (B, T, n).

    `values` (T, n) are what nodes give that never fire (LI, CubaLI, I, linear outputs): their potentials. Steps are the
    reference's steps: a delay that the target adds is already taken out and stands in `delay`. `sent` is what
    Program.encode made of the inputs, where the target kept it. `cost` is what a simulator with a model of its chip
    says of the run: "joules.PART", of which "joules.total" is the sum, and "seconds" on that chip; a number, or (B,).
    """

    spikes: Mapping[str, Spikes]
    seconds: float
    v: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    u: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    delay: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    sent: NDArray[Any] | None = None
    cost: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def item(self, i: int) -> Recording:
        """Run `i` of a batch by itself, with its share of the seconds."""
        parts = {key: {name: array[i] for name, array in getattr(self, key).items()} for key in _ARRAYS}
        runs = len(next(iter((self.spikes or self.values).values())))
        sent = None if self.sent is None else self.sent[i]
        return Recording(**parts, seconds=self.seconds / runs, delay=self.delay, sent=sent)

    @classmethod
    def joined(cls, batches: Sequence[Recording]) -> Recording:
        """Batches of the same model one after the other, as one."""
        first = batches[0]
        if len(batches) == 1:
            return first
        parts = {
            key: {name: np.concatenate([getattr(b, key)[name] for b in batches]) for name in getattr(first, key)}
            for key in _ARRAYS
        }
        sent = None if first.sent is None else np.concatenate([b.sent for b in batches if b.sent is not None])
        return cls(**parts, seconds=sum(b.seconds for b in batches), delay=first.delay, sent=sent)

    @classmethod
    def stacked(cls, runs: Sequence[Recording]) -> Recording:
        """Single runs of the same model as a batch."""
        return cls.joined([run.as_batch() for run in runs])

    def end_to_end(self) -> Recording:
        """All runs of a batch one after the other, as a single run of B T steps."""

        def rows(array: NDArray[Any]) -> NDArray[Any]:
            return array.reshape(-1, array.shape[-1])

        parts = {key: {name: rows(array) for name, array in getattr(self, key).items()} for key in _ARRAYS[:-1]}
        sent = None if self.sent is None else rows(self.sent)
        return Recording(**parts, seconds=self.seconds, delay=self.delay, sent=sent)

    def as_batch(self) -> Recording:
        """A single run as a batch of one."""
        parts = {key: {name: array[None] for name, array in getattr(self, key).items()} for key in _ARRAYS}
        sent = None if self.sent is None else self.sent[None]
        return Recording(**parts, seconds=self.seconds, delay=self.delay, sent=sent)


_ARRAYS = ("spikes", "v", "u", "values", "cost")


@dataclass(frozen=True)
class Availability:
    """Whether a target can run here, how (in process, or in a runtime of its own), its version, and the fix if not."""

    ok: bool
    how: str
    version: str = ""
    fix: str = ""


class Target(Plugin, ABC):
    """A machine, simulator or runtime; one file per target in `targets/`, each a SpikingTarget or an ImageTarget."""

    kind = "target"
    folder = "neuroprompt.targets"
    about: ClassVar[str]

    @classmethod
    @abstractmethod
    def available(cls) -> Availability:
        """Whether this target can run here; quick, never raises."""

    @classmethod
    def install(cls) -> None:
        """Build the runtime that this target needs; raises RuntimeMissing. In-process targets need none."""


class SpikingTarget(Target):
    """A target that runs spiking models; `precisions` are those of SpikingModel.program that it can run."""

    kind = "spiking target"
    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("float",)

    def refuse(self, program: Program) -> None:
        """Raise Unsupported, naming the node, for what this target cannot run of a float program; quick, runs nothing.

        A run raises the same; `neuroprompt.simulators.nir_support` asks it for what a target supports.
        """

    def run(
        self, model: SpikingModel, inputs: NDArray[Any], precision: str | None = None, states: bool = False
    ) -> Recording:
        """Run `model` from rest on `inputs`: one run (T, n_in), or a batch (B, T, n_in) of runs, each from rest.

        The recording of a batch has the runs as its first axis. `precision` is the target's first unless set. Raises
        Unsupported, RuntimeMissing, WorkerFailed.
        """
        precision = self.precisions[0] if precision is None else precision
        if inputs.ndim == 2:
            return self.run_batch(model, inputs[None], precision, states).item(0)
        if inputs.ndim != 3 or not len(inputs):
            raise Unsupported(f"inputs of shape {inputs.shape}", "(steps, lines), or (runs, steps, lines) of 1 or more")
        return self.run_batch(model, inputs, precision, states)

    @abstractmethod
    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """Run `model` on a batch (B, T, n_in), every item from rest: what a target does.

        A target that takes one run at a time joins them with `Recording.stacked`. Raises Unsupported, RuntimeMissing,
        WorkerFailed.
        """


class ImageTarget(Target):
    """A target that runs an exported backbone; `title` is what people call it.

    A constructor takes `threads` of one run (0: one per core), `at_once`, how many threads call `logits` at a time, and
    `provider`, the device.
    """

    kind = "image target"
    title: ClassVar[str]

    @abstractmethod
    def logits(self, file: Path, images: Floats) -> Floats:
        """Logits (B, K) of normalised images (B, C, H, W) from the model in `file`."""


@dataclass(frozen=True)
class Exported:
    """A bundle that was written at `out`: what was counted and checked as `figures`, and what its manifest says."""

    out: Path
    figures: Mapping[str, Any]
    about: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        """The figures by name, beside `out` and `about`."""
        return {"out": str(self.out), **self.figures, "about": dict(self.about)}


@dataclass(frozen=True)
class Precision:
    """A file in fewer bits beside the 32-bit one: int8 (calibrated), int8-dynamic or fp16.

    images     training images on which the ranges of activations are found and weights rounded, in 8 bits
    max_drop   points of accuracy on validation images that may be lost; more is an error
    """

    bits: str
    images: int = 64
    max_drop: float = 1.0


class Exporter(Plugin, ABC):
    """Something that a trained run or a NIR graph can be turned into; one file per artefact in `export/`.

    The name is also the `kind` of the bundles that it writes, and `opened` says what such a bundle does.
    """

    kind = "export target"
    folder = "neuroprompt.export"

    @abstractmethod
    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> Exported:
        """Write the bundle whole or not at all; both sides ran and were compared before it appears."""

    @abstractmethod
    def opened(self, bundle: Bundle) -> Artefact:
        """A bundle of this kind at work: how it runs, what is counted of it, how it is described."""

    def export_reduced(
        self, run: Run, out: Path | str, precision: Precision, *, progress: Progress = SILENT
    ) -> Exported:
        """The same, with a file in fewer bits beside it; raises ParityError where that loses too much accuracy."""
        got = f"precision {precision.bits!r} of export target {type(self).__name__.lower()!r}"
        raise Unsupported(got, "what the target's own integers are", "--target onnx takes a precision")

    def export_graph(
        self,
        graph: nir.NIRGraph,
        out: Path | str,
        inputs: Floats,
        *,
        name: str = "",
        split_signs: bool = False,
        wide: Wide | None = None,
        tuning: Tuning | None = None,
        encoding: str = "",
        progress: Progress = SILENT,
    ) -> Exported:
        """The same of a NIR graph of any origin, called `name`; it is fitted on `inputs` (T, n_in), and tried on them.

        Of a batch (B, T, n_in) it is fitted on all runs, and tried on the first.

        `encoding` says how numbers became these inputs, where they are spikes (`neuroprompt.compiler.encode`).
        `split_signs`, `wide` and `tuning` as in `neuroprompt.compiler.compile.calibrated`.
        """
        got = f"export target {type(self).__name__.lower()!r} takes no NIR graph"
        raise Unsupported(got, "a run folder", "--target lava, netx or c takes a graph")


# --- energy ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Price:
    """Joules for one counted event, and where its paper gives the figure.

    `low` and `high` are the range that the source gives; None where it gives one figure.
    """

    joules: float
    source: str
    low: float | None = None
    high: float | None = None

    @property
    def range(self) -> tuple[float, float]:
        """(low, high), each the figure itself where the source has no other."""
        return (self.joules if self.low is None else self.low, self.joules if self.high is None else self.high)


class Prices(Plugin, ABC):
    """A price list; one file per list in `prices/`, each constant beside its paper.

    prices      joules by event: spikes, synops, synops_graded, updates_active, updates_inactive, macs, macs_int8,
                reads, writes, states (`neuroprompt.energy.estimate.events`); an event without a price in the paper is
                left out
    placed      joules of what only a run on placed neurons counts: updates_idle, messages, hops_x (east or west) and
                hops_y (north or south); a list with hops prices a run on a Loihi 1 (`neuroprompt.energy.on_chip`)
    includes    events that the figures include already, each with what the source says: they cost nothing more
    watts       for a chip whose power was measured, and no joules per event: times the seconds of a run on it
    scope       "per term": may be added to other terms; "all-in": a price includes the chip's other work too
    evidence    how the source got its figures; "estimated" by its author
    technology, voltage, leaves_out    what the figures are of, and what they do not include
    """

    kind = "price list"
    folder = "neuroprompt.prices"
    title: ClassVar[str]
    prices: ClassVar[Mapping[str, Price]]
    placed: ClassVar[Mapping[str, Price]] = {}
    includes: ClassVar[Mapping[str, str]] = {}
    watts: ClassVar[Price | None] = None
    scope: ClassVar[Literal["per term", "all-in"]]
    evidence: ClassVar[Literal["measured", "simulated", "datasheet", "estimated"]]
    technology: ClassVar[str]
    voltage: ClassVar[str]
    leaves_out: ClassVar[str]
