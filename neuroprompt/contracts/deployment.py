"""The contracts of what is deployed: Target, Exporter, Prices. They meet at the graph, the program and the bundle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.recording import Recording, Spikes
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

__all__ = [
    "Availability",
    "Exported",
    "Exporter",
    "Floats",
    "ImageTarget",
    "Precision",
    "Price",
    "Prices",
    "Recording",
    "Spikes",
    "SpikingTarget",
    "Target",
]

Floats = NDArray[np.floating[Any]]


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
    """A target that runs spiking models.

    precisions  of "float" and "fixed", those that it can run
    integers    of which chip its "fixed" are: the name of the target that defines them, which may be itself. Only
                targets with the same integers are compared as integers
    """

    kind = "spiking target"
    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("float",)
    integers: ClassVar[str] = "loihi"

    def refuse(self, program: Program) -> None:
        """Raise Unsupported, naming the node, for what this target cannot run of a float program; quick, runs nothing.

        A run raises the same; `neuroprompt.simulators.nir_support` asks it for what a target supports.
        """

    def program(self, model: SpikingModel, precision: str) -> Program:
        """What it runs of `model` in "float" or "fixed"; raises Unsupported where there are no integers."""
        return model.program(precision)

    def scale_report(self, model: SpikingModel) -> Mapping[str, Any]:
        """What its integers changed of `model`, as `neuroprompt.compiler.report` has it."""
        return model.scale_report

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
    `provider`, the device; `precision`, too, where the target has others than "float".
    """

    kind = "image target"
    title: ClassVar[str]

    @classmethod
    def computes_in(cls, precision: str) -> bool:
        """Whether it is here, and this processor computes in `precision`: "float" (32 bits), "bf16" or "fp16"."""
        return precision == "float" and cls.available().ok

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
