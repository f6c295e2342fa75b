"""A bundle whose neurons run once on a spiking target: those that made a prompt, or those of a NIR graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neuroprompt.bundles.artefact import Artefact, Settings, Tried
from neuroprompt.bundles.contents import INPUTS, load_model, load_tried
from neuroprompt.bundles.lava_readme import checked_words, lava_run, programs_checked, scale_words
from neuroprompt.bundles.results import Ran, SpikeRun, write_spikes
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import BadSetting
from neuroprompt.progress import SILENT, Progress

SIMULATED = (
    "A simulator on a CPU says what the chip computes, not how fast. Thresholds are strict (v > threshold), the reset "
    "is to 0 in the same step."
)


class Neurons(Artefact):
    """The spiking part of a prompt that is the same for every image: it ran once, before the prompt was baked."""

    summary = "the spiking part of a visual prompt, as integers for Intel's Lava simulator and Loihi"
    tags = ("lava", "spiking")

    def run(self, images: Sequence[Path | str], settings: Settings, progress: Progress = SILENT) -> Ran:
        """The spikes of one run, on the bundle's own inputs; `target` is lava and `precision` fixed unless set."""
        options = ("lanes", "listed", "threads", "batch_size", "provider", "graph_level")
        settings.refuse(*options, why="a bundle that takes images")
        if settings.out is not None and settings.out.suffix != ".npz":
            raise BadSetting(f"out {settings.out}", "a file that ends in .npz, for spikes")
        if images:
            got = f"images for {self.bundle.folder}, whose neurons take none"
            raise BadSetting(got, "no images", "the ONNX bundle of the same run classifies images")
        name, precision = settings.target or "lava", settings.precision or "fixed"
        target, tried = spiking_target(name, precision), self.tried()
        recording = target.run(tried.model, tried.inputs, precision)
        if settings.out is not None:
            write_spikes(recording, settings.out)
        return SpikeRun(name, precision, recording, settings.out)

    @property
    def backbone_macs(self) -> int | None:
        """As counted from the torch modules when the bundle was made."""
        macs = self.bundle.about.get("backbone_macs")
        return None if macs is None else int(macs)

    def tried(self) -> Tried:
        """The neurons on what the bundle carries for it."""
        model, inputs, images = load_tried(self.bundle)
        return Tried(model, stimulus(model.float_program) if inputs is None else inputs, images)

    def checked(self) -> list[str]:
        """How the programs compared with the reference."""
        return checked_words(self.bundle.about)

    def run_elsewhere(self) -> list[str]:
        """With Lava alone."""
        return lava_run(None)

    def integers(self) -> list[str]:
        """The scale report."""
        return scale_words(load_model(self.bundle).scale_report)

    def limits(self) -> list[str]:
        """What a simulator does not say."""
        return [f"{SIMULATED} The backbone is not here."]


class GraphNeurons(Neurons):
    """A NIR graph of any origin, which has no backbone."""

    summary = ""

    @property
    def backbone_macs(self) -> int:
        """There is no backbone."""
        return 0

    def checked(self) -> list[str]:
        """How the programs compared with the reference."""
        return programs_checked(self.bundle.about["checked"])

    def run_elsewhere(self) -> list[str]:
        """With Lava alone, on the inputs that the integers were fitted on."""
        return lava_run(INPUTS)

    def limits(self) -> list[str]:
        """What a simulator does not say."""
        return [SIMULATED]


def spiking_target(name: str, precision: str) -> SpikingTarget:
    """The spiking target of that name; raises UnknownName, and BadSetting where it has no such precision."""
    target = SpikingTarget.named(name)
    if precision not in target.precisions:
        runs = "/".join(target.precisions)
        raise BadSetting(f"target {name!r} in precision {precision!r}", f"a precision it has ({name}: {runs})")
    return target
