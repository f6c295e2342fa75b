"""An opened bundle at work: how it runs, what is counted of it, and how a model card describes it.

`artefact(bundle)` asks the exporter that wrote the bundle, so that nobody else looks at a bundle's kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.check import Redone
from neuroprompt.bundles.results import Ran
from neuroprompt.contracts.deployment import Exporter, Floats
from neuroprompt.errors import BadBundle, BadSetting, UnknownName
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.program import SpikingModel


@dataclass(frozen=True)
class Settings:
    """How to run a bundle; None is the bundle's own default, and what a bundle has no use for is an error.

    target       which target runs the neurons, or an ONNX bundle: onnxruntime, openvino
    precision    of neurons: "fixed" (the chip's integers) or "float"; of images in OpenVINO: "float", "bf16" or "fp16"
    lanes        images side by side on that target
    listed       a text file with an image a line, instead of images
    out          where the labels go (.csv, .jsonl, .parquet), or the spikes (.npz)
    threads      of ONNX Runtime and of reading images: 0 for one a core
    batch_size   images in one run of the model
    provider     of ONNX Runtime (cpu, cuda, ...), or OpenVINO's device (cpu, gpu, ...)
    graph_level  how far ONNX Runtime rewrites the graph: none, basic, extended, all
    form         which file of an ONNX bundle: portable, fused, int8, ... (`neuroprompt.bundles.forms`)
    """

    target: str | None = None
    precision: str | None = None
    lanes: int | None = None
    listed: Path | None = None
    out: Path | None = None
    threads: int | None = None
    batch_size: int | None = None
    provider: str | None = None
    graph_level: str | None = None
    form: str | None = None

    def refuse(self, *names: str, why: str) -> None:
        """Raise BadSetting where one of `names` is set."""
        for name in names:
            if getattr(self, name) is not None:
                raise BadSetting(f"{name.replace('_', ' ')} {getattr(self, name)}", why)


@dataclass(frozen=True)
class Tried:
    """The neurons of a bundle and what to try them with: `inputs` as targets take them, of `images` images."""

    model: SpikingModel
    inputs: Floats
    images: int


class Artefact:
    """What a bundle holds, at work; this class is one that only other programs run, and a subclass says what it does.

    summary       what a model card says that it is; "" where it has no card
    tags          what a model hub finds it by
    takes_images  whether `run` classifies images
    per_image     whether its neurons run once for every image, rather than once before deployment
    """

    summary: ClassVar[str] = ""
    tags: ClassVar[tuple[str, ...]] = ()
    takes_images: ClassVar[bool] = False
    per_image: ClassVar[bool] = False

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def run(self, images: Sequence[Path | str], settings: Settings, progress: Progress = SILENT) -> Ran:
        """Classify image files, or run the neurons; raises BadBundle, BadSetting, BadData and what the target raises.

        A folder stands for the images in it.
        """
        got = f"{self.bundle.folder} is a bundle for {self.bundle.kind!r}, which neuroprompt does not run"
        raise BadBundle(got, "a bundle for 'onnx' or 'lava'")

    def redone(self) -> list[Redone]:
        """Its files run here and compared with what they gave at the export; raises BadBundle, BadSetting."""
        got = f"{self.bundle.folder}, a bundle for {self.bundle.kind!r}"
        raise BadSetting(got, "one for 'onnx' or 'web'", "see 'neuroprompt verify --help'")

    # --- what is counted ---------------------------------------------------------------------------------------------

    def onnx_files(self, form: str | None = None) -> tuple[Path, ...]:
        """The ONNX files that every image passes through; `form` where a bundle has several that compute the same."""
        if form is not None:
            raise BadSetting(f"form {form!r} of {self.bundle.folder}", "an ONNX bundle: this one has no other form")
        return tuple(sorted(self.bundle.folder.glob("*.onnx")))

    @property
    def backbone_macs(self) -> int | None:
        """Multiply-accumulates of a backbone that is not in the bundle, for one image; None where nothing says them."""
        return None

    def tried(self) -> Tried | None:
        """The neurons, with inputs to try them with; None where the bundle has none. Raises BadBundle, BadGraph."""
        return None

    # --- what a card says, in lines of Markdown -----------------------------------------------------------------------

    def checked(self) -> list[str]:
        """What was compared with what before the bundle appeared."""
        return []

    def run_elsewhere(self) -> list[str]:
        """How to run it without neuroprompt."""
        return []

    def integers(self) -> list[str]:
        """What the chip's integers changed; empty where there are none."""
        return []

    def limits(self) -> list[str]:
        """What not to expect of it."""
        return []


def artefact(bundle: Bundle) -> Artefact:
    """The bundle at work; raises BadBundle where no exporter of this version writes such bundles."""
    try:
        exporter = Exporter.named(bundle.kind)
    except UnknownName as error:
        kinds = " or ".join(Exporter.names())
        raise BadBundle(f"{bundle.folder} is a bundle for {bundle.kind!r}", f"one for {kinds}") from error
    return exporter.opened(bundle)


def run(
    bundle: Bundle | Path | str,
    images: Sequence[Path | str] = (),
    *,
    target: str | None = None,
    precision: str | None = None,
    lanes: int | None = None,
    listed: Path | None = None,
    out: Path | None = None,
    threads: int | None = None,
    batch_size: int | None = None,
    provider: str | None = None,
    graph_level: str | None = None,
    form: str | None = None,
    progress: Progress = SILENT,
) -> Ran:
    """Run a bundle, opened or by its folder: `images` (files or folders) are classified, neurons alone give spikes.

    The settings are those of `Settings`. An image that cannot be read gives an `Unread` in its place, and the others
    are classified all the same. With `out` the results go to that file. Raises BadBundle, BadSetting, BadData,
    CannotWrite and what the target raises.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    settings = Settings(target, precision, lanes, listed, out, threads, batch_size, provider, graph_level, form)
    return artefact(opened).run(images, settings, progress)
