"""Images of a run's data set as items for a prompt that depends on the image: each image drives the neurons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.image_files import on_canvas
from neuroprompt.bundles.pipeline import Around
from neuroprompt.bundles.provenance import config_of
from neuroprompt.contracts.deployment import Floats, Recording
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.errors import BadSetting
from neuroprompt.extras import need
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.decode import Reader
from neuroprompt.simulators.items import Items
from neuroprompt.spiking.program import SpikingModel

PREFIX = "data:"
SPLITS = ("test", "val", "train")


def is_split(inputs: Path | str) -> bool:
    """Whether `inputs` names a split of a run's data set, not a file."""
    return str(inputs).startswith(PREFIX)


def image_items(bundle: Bundle, model: SpikingModel, inputs: str, progress: Progress = SILENT) -> Items:
    """The images of `data:SPLIT`, or the first N of `data:SPLIT:N`, of the data set that a bundle's run was trained on.

    Raises BadSetting, BadData, RuntimeMissing without the extra `train`, and BadBundle for a bundle of no run.
    """
    split, _, first = inputs.removeprefix(PREFIX).partition(":")
    if split not in SPLITS or (first and not (first.isdecimal() and int(first))):
        raise BadSetting(f"inputs {inputs!r}", "data:test, data:val or data:train, with the first N as data:test:N")
    if not bundle.about.get("per_image"):
        got = f"inputs {inputs!r} for {bundle.folder}, whose neurons see no image"
        raise BadSetting(got, "a file of inputs", "'neuroprompt eval' measures such a run on its images")
    need("train")
    from neuroprompt.training.dataset import load_data  # here, because it needs torch

    config = config_of(bundle)
    of: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in bundle.about["preprocess"].items()}
    labelled = load_data(config.data, Preprocess(**of), config.seed, config.limit, progress, val=config.val)
    images: Any = getattr(labelled, split)
    count = min(len(images), int(first)) if first else len(images)
    if not count:
        raise BadSetting(f"inputs {inputs!r}", "a split with images: the run was trained without any to validate with")
    around = Around(bundle)

    def load(start: int, stop: int) -> Floats:
        import torch

        from neuroprompt.training.dataset import as_floats

        pixels = as_floats(torch.stack([images[i][0] for i in range(start, min(stop, count))])).numpy()
        return on_canvas(pixels, bundle.about["preprocess"])

    labels = np.array([int(images[i][1]) for i in range(count)], np.int64)
    return ImageItems(np.empty((count, 0)), model.float_program.inputs, model.steps, labels, np.inf, load, around)


@dataclass(frozen=True)
class ImageItems(Items):
    """Images, which `load(start, stop)` gives normalised, (b, 3, H, W); an item is the factors of an image."""

    load: Callable[[int, int], Floats] | None = None
    around: Around | None = None

    def part(self, start: int, stop: int) -> NDArray[Any]:
        """The factors of images from `start` up to `stop`, (b, T, lines)."""
        assert self.load is not None
        assert self.around is not None
        return self.around.factors(self.load(start, stop))

    def reader(self, model: SpikingModel, decode: str | None) -> Reader:
        """Classes are the backbone's, of the image with its prompt; raises BadSetting for any other way."""
        assert self.load is not None
        assert self.around is not None
        if decode is not None:
            raise BadSetting(f"decode {decode!r} of a prompt", "nothing: the backbone says the class")
        return ThroughBackbone(self.load, self.around)


@dataclass(frozen=True)
class ThroughBackbone(Reader):
    """The class that the backbone gives an image, with the prompt that the spikes of its item make."""

    load: Callable[[int, int], Floats]
    around: Around

    def way(self, recording: Recording) -> str:
        """What reads the class."""
        return "backbone"

    def count(self, recording: Recording) -> int:
        """The backbone's classes."""
        return len(self.around.bundle.about["classes"])

    def classes(self, recording: Recording, inputs: NDArray[Any], first: int) -> NDArray[np.int64]:
        """Of items from `first` on, whose factors are `inputs` (B, T, n)."""
        (spikes,) = recording.spikes.values()
        logits, _ = self.around.logits(self.load(first, first + len(inputs)), inputs, spikes)
        return np.asarray(logits.argmax(axis=1))
