"""The contracts between the core and its parts, on one page: Prompt, Backbone, Data, Target, Exporter, Prices.

Prompts do not know backbones and backbones do not know prompts: both know where a prompt enters (tokens, pixels or
nowhere) and whether it is the same for every image. Exporters and targets meet at the NIR graph, the program, the
`.onnx` file and the bundle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroprompt.plugin import Plugin
from neuroprompt.progress import SILENT, Progress

if TYPE_CHECKING:
    from neuroprompt.checkpoint import Run
    from neuroprompt.program import Model

Floats = NDArray[np.floating[Any]]
Spikes = NDArray[np.bool_]


# --- prompts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """Where a prompt may enter a backbone, as shapes: `depth` blocks of `width` channels, images of (C, H, W)."""

    depth: int
    width: int
    image: tuple[int, int, int]
    patch: int


@dataclass(frozen=True)
class Generator:
    """The spiking part of a prompt: modules in a row, driven for `steps` time steps from rest.

    `chain` holds `Current` (first, where the drive is constant), `nn.Linear`, `IF`, `LIF` and snnTorch `Leaky` modules.
    """

    chain: nn.Sequential
    steps: int


class Prompt(nn.Module, Plugin, ABC):
    """A small learnable part that adapts a frozen backbone; one file per method in `prompts/`.

    `enters` says where, `per_image` whether it depends on the image, `spiking` whether neurons make it. A constructor
    takes the Site first and then the method's settings, each with a default.
    """

    kind = "prompt method"
    folder = "neuroprompt.prompts"
    enters: ClassVar[Literal["tokens", "pixels", "nowhere"]]
    per_image: ClassVar[bool] = False
    spiking: ClassVar[bool] = False

    def tokens(self) -> Tensor | None:
        """Prompt tokens (L, N, D): L = depth where every block has its own, L = 1 where they enter block 0 only."""
        return None

    def generator(self) -> Generator | None:
        """The spiking part, for export; None where there is none."""
        return None

    def decode(self, counts: Tensor) -> Tensor:
        """Tokens (L, N, D) from the generator's spike counts (n,) over its steps."""
        raise NotImplementedError(f"{type(self).__name__} has no generator")

    def penalty(self) -> Tensor | float:
        """What the method adds to the training loss; 0 by default."""
        return 0.0


# --- backbones -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BackboneSpec:
    """Which backbone, from where: enough to build it again.

    `name` is "embedded" or a timm model name; `weights` a safetensors file, or None for timm's hub (or the package,
    for the embedded one); `random` true where weights are random on purpose.
    """

    name: str = "embedded"
    weights: str | None = None
    image_size: int | None = None
    random: bool = False


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the backbone's input: resized to `size`, scaled to [0, 1], then (x - mean) / std."""

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str


class Backbone(nn.Module, Plugin, ABC):
    """A frozen network and the places where a prompt may enter it; one file per family in `backbones/`.

    A family wraps a timm model. `forward` takes normalised images (B, C, H, W) and returns features (B, `features`).
    """

    kind = "backbone family"
    folder = "neuroprompt.backbones"
    spec: BackboneSpec
    site: Site
    features: int
    preprocess: Preprocess

    @classmethod
    @abstractmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether this family can wrap that timm model."""

    @abstractmethod
    def forward(self, images: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Features (B, F) of normalised images (B, C, H, W), with prompt tokens (L, N, D) of Prompt.tokens."""

    @abstractmethod
    def baked(self, tokens: Tensor | None) -> nn.Module:
        """A module (images -> features) in which static tokens are constants; exact, and free of prompt generation."""

    @abstractmethod
    def lean(self) -> Backbone:
        """The same backbone in the form that `baked` gives it, for an honest comparison of what a prompt costs."""


# --- data ------------------------------------------------------------------------------------------------------------


Pictures = torch.utils.data.Dataset[tuple[Tensor, int]]
"""A map-style set of (image uint8 (3, H, W) at the asked size, label); has a length."""


@dataclass(frozen=True)
class Labelled:
    """A data set: three splits and the names of its classes."""

    train: Pictures
    val: Pictures
    test: Pictures
    classes: tuple[str, ...]


class Data(Plugin, ABC):
    """A source of labelled pictures; one file per source in `data/`. `digits`, `folder:PATH`, `torchvision:NAME`."""

    kind = "data source"
    folder = "neuroprompt.data"

    @abstractmethod
    def load(self, size: tuple[int, int], interpolation: str, seed: int) -> Labelled:
        """Decode, resize and split; raises BadData."""


# --- deployment ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    """What a target did: spikes (T, n) of every neuron node, potentials where asked for, and the seconds it took.

    Steps are the reference's steps: a delay that the target adds is already taken out and stands in `delay`.
    """

    spikes: Mapping[str, Spikes]
    seconds: float
    v: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    u: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    delay: Mapping[str, int] = field(default_factory=dict)


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
    """A target that runs spiking models; `precisions` are those of Model.program that it can run."""

    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("float",)

    @abstractmethod
    def run(self, model: Model, inputs: Floats, precision: str, states: bool = False) -> Recording:
        """Run `model` on `inputs` (T, n_in) from rest; raises Unsupported, RuntimeMissing, WorkerFailed."""


class ImageTarget(Target):
    """A target that runs an exported backbone."""

    @abstractmethod
    def logits(self, file: Path, images: Floats) -> Floats:
        """Logits (B, K) of normalised images (B, C, H, W) from the model in `file`."""


class Exporter(Plugin, ABC):
    """Something that a trained run can be turned into; one file per artefact in `export/`."""

    kind = "export target"
    folder = "neuroprompt.export"

    @abstractmethod
    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> dict[str, Any]:
        """Write the artefact whole or not at all; returns what was checked, as JSON-able values."""


# --- energy ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Price:
    """Joules for one counted event, and where the figure stands in its paper."""

    joules: float
    source: str


class Prices(Plugin, ABC):
    """A price list; one file per list in `energy/`, each constant beside its paper.

    `prices` is by event: spikes, synops, updates_active, updates_inactive, macs (`neuroprompt.pricing.events`); an
    event that the paper does not price is left out. `scope`: "per term" (may be added to other terms) or "all-in" (a
    price holds the events beside it too). `evidence`: measured, simulated, datasheet, or estimated by the author.
    """

    kind = "price list"
    folder = "neuroprompt.energy"
    title: ClassVar[str]
    prices: ClassVar[Mapping[str, Price]]
    scope: ClassVar[Literal["per term", "all-in"]]
    evidence: ClassVar[Literal["measured", "simulated", "datasheet", "estimated"]]
    technology: ClassVar[str]
    leaves_out: ClassVar[str]
