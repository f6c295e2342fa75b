"""A hybrid bundle at work: factors in ONNX Runtime, neurons on a spiking target, the backbone in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuroprompt.bundles.artefact import Settings
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.classify import Classify
from neuroprompt.bundles.contents import SAMPLE, load_model, side_by_side
from neuroprompt.bundles.image_files import ImageFiles
from neuroprompt.bundles.lava_readme import lava_run
from neuroprompt.bundles.neurons import SIMULATED, Neurons, spiking_target
from neuroprompt.bundles.predict import classified
from neuroprompt.bundles.results import Ran
from neuroprompt.contracts.deployment import Floats, ImageTarget, Spikes
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.program import SpikingModel

FACTORS, BACKBONE = "factors.onnx", "backbone.onnx"
LANES = 8
"""Images side by side on the target, unless another number is asked for."""


class Hybrid(Neurons):
    """A prompt that depends on the image: its neurons run on a spiking target, what is around them in ONNX Runtime."""

    takes_images = True
    per_image = True

    def run(self, images: Sequence[Path | str], settings: Settings, progress: Progress = SILENT) -> Ran:
        """A prediction for every image; `target` is lava, `precision` fixed and `lanes` LANES unless set."""
        options = ("threads", "batch_size", "provider", "graph_level", "form")
        settings.refuse(*options, why="an ONNX bundle: the neurons of this one run in lanes")
        target, precision = settings.target or "lava", settings.precision or "fixed"
        pipeline = Pipeline(self.bundle, target, precision, LANES if settings.lanes is None else settings.lanes)

        def infer(inputs: Floats) -> tuple[Floats, Floats]:
            passed = pipeline.run(inputs)
            return passed.logits, passed.spikes.mean(axis=(1, 2))

        about = self.bundle.about
        classify = Classify(about["preprocess"], about["classes"], infer, pipeline.lanes)
        of = {"bundle": self.bundle.digest, "target": target, "precision": precision}
        return classified(classify, ImageFiles(images, settings.listed), of, settings.out, progress)

    def run_elsewhere(self) -> list[str]:
        """Its neurons with Lava alone, on the factors of a test image."""
        return lava_run(SAMPLE.format(0))

    def limits(self) -> list[str]:
        """What a simulator does not say."""
        return [SIMULATED]


@dataclass(frozen=True)
class Passed:
    """What a pass gave for B images: logits (B, K), spikes and factors (B, T, n), the prompts (B, C, H, W) in [0, 1]'s
    units, and the seconds that the target took.
    """

    logits: Floats
    spikes: Spikes
    factors: Floats
    prompts: Floats
    seconds: float

    def report(self) -> dict[str, float]:
        """What the gate did.

        spike_density  spikes of all neurons and steps
        exact_zeros    values of the prompts that are 0
        rank           numerical rank of the prompts' channels, mean over channels and images
        """
        return {
            "spike_density": float(self.spikes.mean()),
            "exact_zeros": float((self.prompts == 0).mean()),
            "rank": float(np.linalg.matrix_rank(self.prompts.astype(np.float32)).mean()),
        }


class Around:
    """What is around the neurons of a bundle, in ONNX Runtime: the factors that drive them, and the backbone behind.

    Raises BadBundle where the bundle has no such parts.
    """

    def __init__(self, bundle: Bundle) -> None:
        if not bundle.about.get("per_image"):
            got = f"{bundle.folder} holds no prompt that is made for every image"
            raise BadBundle(got, "the lava bundle of such a prompt", "images run through the onnx bundle of this one")
        self.bundle = bundle
        # A session is kept for one file at a time, so that each of the two has its own.
        self._before, self._behind = (ImageTarget.named("onnxruntime") for _ in range(2))
        preprocess = bundle.about["preprocess"]
        self._mean, self._std = (np.asarray(preprocess[key], np.float32)[:, None, None] for key in ("mean", "std"))

    def normalised(self, images: Floats) -> Floats:
        """Images (B, 3, H, W) in [0, 1] as the two files take them."""
        return (images.astype(np.float32) - self._mean) / self._std

    def factors(self, images: Floats) -> Floats:
        """P (B, T, n) of normalised images (B, 3, H, W)."""
        factors = self._before.logits(self.bundle.folder / FACTORS, images)
        return factors.reshape(*factors.shape[:2], -1)

    def logits(self, images: Floats, factors: Floats, spikes: Spikes) -> tuple[Floats, Floats]:
        """Logits (B, K) of images with the prompts (B, 3, H, W) that factors and spikes (B, T, n) make; the prompts."""
        prompts = (spikes * factors.astype(np.float64)).mean(axis=1).reshape(images.shape)
        prompted = images + (prompts / self._std).astype(np.float32)
        return self._behind.logits(self.bundle.folder / BACKBONE, prompted), prompts


class Pipeline:
    """logits = backbone(x + (1/T) sum_t S_t * P_t / std), of normalised images x (B, 3, H, W).

    P (B, T, n) is what factors.onnx makes of x, S what the neurons of `target` do in `precision` ("fixed", the chip's
    integers, or "float") when P drives them, `lanes` images side by side, each from rest. Raises BadBundle where the
    bundle has no such parts, UnknownName, BadSetting.
    """

    def __init__(
        self, bundle: Bundle | Path | str, target: str = "loihi", precision: str = "fixed", lanes: int = LANES
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, "lava")
        self.around = Around(self.bundle)
        self.target = spiking_target(target, precision)
        if lanes < 1:
            raise BadSetting(f"lanes {lanes}", "at least 1")
        self.precision, self.lanes = precision, lanes
        self._model = load_model(self.bundle)
        self._wide: dict[int, SpikingModel] = {}

    def run(self, images: Floats, progress: Progress = SILENT) -> Passed:
        """Pass normalised images (B, 3, H, W) through, `lanes` at a time; raises what the target raises."""
        starts = range(0, len(images), self.lanes)
        parts = [self._pass(images[i : i + self.lanes]) for i in progress.track(starts, "images in lanes", len(starts))]
        arrays = {
            key: np.concatenate([getattr(p, key) for p in parts]) for key in ("logits", "spikes", "factors", "prompts")
        }
        return Passed(**arrays, seconds=sum(p.seconds for p in parts))

    def _pass(self, images: Floats) -> Passed:
        count = len(images)
        flat = self.around.factors(images)
        if count not in self._wide:
            self._wide = {count: self._model.lanes(count)}  # the last batch may be smaller; none is kept beside it
        recording = self.target.run(self._wide[count], side_by_side(flat), self.precision)
        (fired,) = recording.spikes.values()
        spikes = fired.reshape(flat.shape[1], count, -1).transpose(1, 0, 2)
        logits, prompts = self.around.logits(images, flat, spikes)
        return Passed(logits, spikes, flat, prompts, recording.seconds)
