"""An ONNX bundle at work: labels and probabilities of image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

from neuroprompt.bundles.artefact import Artefact, Settings
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.check import Redone, redo
from neuroprompt.bundles.choice import choose
from neuroprompt.bundles.classify import Classify, workers_for
from neuroprompt.bundles.forms import FILES, PORTABLE, chosen_form, forms_of
from neuroprompt.bundles.image_files import ImageFiles
from neuroprompt.bundles.image_settings import classes_of, preprocess_of
from neuroprompt.bundles.labels import started_form, write_labels
from neuroprompt.bundles.results import How, Labels, Prediction, Predictions, Ran, Unread
from neuroprompt.contracts.deployment import Floats, ImageTarget, Target
from neuroprompt.errors import BadSetting
from neuroprompt.onnxgraph.snippet import SNIPPET
from neuroprompt.progress import SILENT, Progress

MODEL = FILES[PORTABLE]
BATCH = 8
"""Images in one run of the model, unless another number is asked for: more is no faster on a CPU, and takes memory."""


RUNTIME = "onnxruntime"
"""What runs a bundle unless another target is asked for; `bench` compares its files in this one."""


class Classifier(Artefact):
    """A backbone with its prompt and head in one ONNX file, run by ONNX Runtime or another image target."""

    summary = "a frozen image classifier with a small trained prompt in it, as one ONNX file for ONNX Runtime"
    tags: ClassVar[tuple[str, ...]] = ("onnx",)
    takes_images = True

    def run(self, images: Sequence[Path | str], settings: Settings, progress: Progress = SILENT) -> Ran:
        """A prediction for every image, or all of them in the file `settings.out`."""
        settings.refuse("lanes", why="a Lava bundle: this one has no neurons")
        if settings.precision == "float":  # as it is without
            settings = replace(settings, precision=None)
        target = _image_target(settings.target or RUNTIME)
        batch = BATCH if settings.batch_size is None else settings.batch_size
        if batch < 1:
            raise BadSetting(f"batch size {batch}", "at least 1")
        files = ImageFiles(images, settings.listed)
        workers, threads = workers_for(settings.threads or 0, ceil(files.count / batch))
        runtime = _runtime(target, settings, threads, workers)
        started = None
        if settings.out is not None and settings.form is None:
            started = started_form(settings.out, self.bundle.digest)
        at_once = max(1, min(batch, files.count))
        choice = choose(self.bundle, started or settings.form, threads, at_once, measured=target.name == RUNTIME)
        file = forms_of(self.bundle)[choice.form]

        def infer(inputs: Floats) -> tuple[Floats, None]:
            return runtime.logits(file, inputs), None

        classify = Classify(preprocess_of(self.bundle), classes_of(self.bundle), infer, batch, workers)
        of = {"bundle": self.bundle.digest, "form": choice.form}
        of |= {} if target.name == RUNTIME else {"runtime": target.name}
        of |= {} if settings.precision is None else {"images in": settings.precision}
        ran = classified(classify, files, of, settings.out, progress)
        assert isinstance(ran, Predictions | Labels)
        why = "the one that this file was begun with" if started else choice.why
        title = target.title if settings.precision is None else f"{target.title} in {settings.precision}"
        return replace(ran, how=How(title, choice.form, why))

    def redone(self) -> list[Redone]:
        """Every file in every runtime that is here."""
        return redo(self.bundle)

    def onnx_files(self, form: str | None = None) -> tuple[Path, ...]:
        """The file of that form; by default the portable one, or that in 8 bits where the bundle was exported so."""
        return (forms_of(self.bundle)[chosen_form(self.bundle, form)],)

    def checked(self) -> list[str]:
        """How close ONNX Runtime was to PyTorch."""
        parity = self.bundle.about["parity"]
        return [
            f"- ONNX Runtime against the model in PyTorch on {parity['images']} images ({parity['source']}), at "
            f"batches of {', '.join(map(str, parity['batches']))}: logits differ by at most "
            f"{parity['max_abs_diff']:.1e} ({parity['max_rel_diff']:.1e} of their range; {parity['tolerance']:g} was "
            f"allowed), {parity['top1_agreement']:.1%} of the classes equal",
        ]

    def run_elsewhere(self) -> list[str]:
        """A script that needs three packages."""
        needs = "Needs onnxruntime, numpy and Pillow; preprocessing and labels are in the file itself."
        return [needs, "", "```python", SNIPPET.strip(), "```"]

    def limits(self) -> list[str]:
        """What not to expect of it."""
        return ["The classes are those above; an image of anything else gets one of them all the same."]


def predict(bundle: Bundle, paths: Sequence[Path | str], progress: Progress = SILENT) -> Predictions:
    """The class of every image; a folder stands for the images in it. Preprocessing and labels are the bundle's own.

    An image that cannot be read is an `Unread` in its place. Raises BadBundle, and BadData where there is no image.
    """
    predictions = Classifier(bundle).run(paths, Settings(), progress)
    assert isinstance(predictions, Predictions)
    return predictions


def classified(
    classify: Classify, files: ImageFiles, of: dict[str, Any], out: Path | None, progress: Progress = SILENT
) -> Ran:
    """Labels in `out`, or predictions where it is None; `of` is what runs: the bundle, and target and precision."""
    if out is not None:
        return write_labels(classify, files, out, of, progress)
    results: list[Prediction | Unread] = []
    for result in progress.track((r for batch in classify.results(files) for r in batch), "images", files.count):
        results.append(result)
    return Predictions(tuple(results), of.get("target", ""), of.get("precision", ""))


def _image_target(name: str) -> type[ImageTarget]:
    """The target that runs a backbone; raises UnknownName, and BadSetting for one that runs neurons."""
    part = Target.part(name)
    if not issubclass(part, ImageTarget):
        raise BadSetting(f"target {name}", "a Lava bundle: this one has no neurons", "for example --target openvino")
    return part


def _runtime(target: type[ImageTarget], settings: Settings, threads: int, at_once: int) -> ImageTarget:
    values: dict[str, Any] = {"threads": threads, "at_once": at_once}
    if settings.provider is not None:
        values["provider"] = settings.provider
    if settings.graph_level is not None:
        values["level"] = settings.graph_level
    if settings.precision is not None:
        if target.name == RUNTIME:
            got = f"precision {settings.precision} of images in {target.title}"
            raise BadSetting(got, "float", "for bf16 add --target openvino")
        values["precision"] = settings.precision
    return ImageTarget.named(target.name, **values)
