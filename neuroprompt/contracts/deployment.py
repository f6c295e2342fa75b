"""The contracts of what is deployed: Target, Exporter, Prices. They meet at the graph, the program and the bundle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
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
    from neuroprompt.spiking.program import Program, SpikingModel
    from neuroprompt.training.run_folder import Run

Floats = NDArray[np.floating[Any]]
Spikes = NDArray[np.bool_]


@dataclass(frozen=True)
class Recording:
    """What a target did: spikes (T, n) of every neuron node, potentials where asked for, and the seconds it took.

    `values` (T, n) are what nodes give that never fire (LI, CubaLI, I, linear outputs): their potentials. Steps are the
    reference's steps: a delay that the target adds is already taken out and stands in `delay`. `sent` is what
    Program.encode made of the inputs, where the target kept it.
    """

    spikes: Mapping[str, Spikes]
    seconds: float
    v: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    u: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    delay: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    sent: NDArray[Any] | None = None


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

        `run` refuses the same; `neuroprompt.simulators.nir_support` asks it for what a target supports.
        """

    @abstractmethod
    def run(self, model: SpikingModel, inputs: Floats, precision: str, states: bool = False) -> Recording:
        """Run `model` on `inputs` (T, n_in) from rest; raises Unsupported, RuntimeMissing, WorkerFailed."""


class ImageTarget(Target):
    """A target that runs an exported backbone."""

    kind = "image target"

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

    calibrate  training images on which the ranges of activations are found, for int8
    max_drop   points of accuracy on validation images that may be lost; more is an error
    """

    bits: str
    calibrate: int = 64
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
        encoding: str = "",
        progress: Progress = SILENT,
    ) -> Exported:
        """The same of a NIR graph of any origin, called `name`; it is tried and fitted on `inputs` (T, n_in).

        `encoding` says how numbers became these inputs, where they are spikes (`neuroprompt.compiler.encode`).
        `split_signs` as in `neuroprompt.compiler.compile.model_of_graph`.
        """
        got = f"export target {type(self).__name__.lower()!r} takes no NIR graph"
        raise Unsupported(got, "a run folder", "--target lava, or netx, takes a graph")


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
    includes: ClassVar[Mapping[str, str]] = {}
    watts: ClassVar[Price | None] = None
    scope: ClassVar[Literal["per term", "all-in"]]
    evidence: ClassVar[Literal["measured", "simulated", "datasheet", "estimated"]]
    technology: ClassVar[str]
    voltage: ClassVar[str]
    leaves_out: ClassVar[str]
