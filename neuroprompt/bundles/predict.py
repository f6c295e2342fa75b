"""Labels and probabilities of image files, from an ONNX bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuroprompt.bundles.artefact import Artefact, Settings
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.results import Prediction, Predictions, Unread
from neuroprompt.contracts.deployment import Floats, ImageTarget
from neuroprompt.contracts.padding import margins
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.images import SUFFIXES, pixels, read_rgb
from neuroprompt.onnxgraph.snippet import SNIPPET
from neuroprompt.progress import SILENT, Progress

MODEL = "model.onnx"


class Classifier(Artefact):
    """A backbone with its prompt and head in one ONNX file, run by ONNX Runtime."""

    summary = "a frozen image classifier with a small trained prompt in it, as one ONNX file for ONNX Runtime"
    tags = ("onnx",)
    takes_images = True

    def run(self, images: Sequence[Path | str], settings: Settings, progress: Progress = SILENT) -> Predictions:
        """A prediction for every image."""
        settings.refuse("target", "precision", "lanes", why="a Lava bundle: this one runs in ONNX Runtime")
        return predict(self.bundle, images, progress)

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
    runtime = ImageTarget.named("onnxruntime")

    def outcomes(images: Floats) -> Iterator[tuple[Floats, None]]:
        return ((logits, None) for logits in runtime.logits(bundle.folder / MODEL, images))

    about = bundle.about
    return Predictions(
        tuple(classified(paths, about["preprocess"], about["classes"], outcomes, batch=1, progress=progress))
    )


def classified(
    paths: Sequence[Path | str],
    preprocess: Mapping[str, Any],
    classes: Sequence[str],
    outcomes: Callable[[Floats], Iterable[tuple[Floats, float | None]]],
    *,
    batch: int,
    progress: Progress = SILENT,
) -> Iterator[Prediction | Unread]:
    """A result for every image of `paths`, in order; an image that cannot be read is an `Unread` in its place.

    `outcomes` gives logits (K,) and spike density for every image of a batch (B, 3, H, W), of at most `batch` images.
    Raises BadSetting, BadData as `image_files`.
    """
    files = image_files(paths)
    starts = range(0, len(files), batch)
    for start in progress.track(starts, "images" if batch == 1 else f"batches of {batch} images", len(starts)):
        some = files[start : start + batch]
        read = [_read(file, preprocess) for file in some]
        images = [image for image in read if not isinstance(image, Unread)]
        results = iter(outcomes(np.stack(images)) if images else ())
        for file, image in zip(some, read, strict=True):
            yield image if isinstance(image, Unread) else labelled(file, *next(results), classes)


def labelled(file: Path, logits: Floats, spike_density: float | None, classes: Sequence[str]) -> Prediction:
    """The prediction for one image, from its logits (K,)."""
    exponents = np.exp(logits.astype(np.float64) - float(logits.max()))
    shares = exponents / exponents.sum()
    top = tuple((classes[i], float(shares[i])) for i in np.argsort(-shares)[:5])
    return Prediction(file, *top[0], top, spike_density)


def _read(file: Path, preprocess: Mapping[str, Any]) -> Floats | Unread:
    try:
        return read_image(file, preprocess)
    except BadData as error:
        return Unread(file, error.got)


def read_image(file: Path, preprocess: Mapping[str, Any]) -> Floats:
    """One image as the file's input (3, H, W): see `Preprocess`; raises BadData."""
    height, width = preprocess["size"]
    # Bundles of versions that did not turn images do not say so.
    image = pixels(read_rgb(file, preprocess.get("exif", False)), (height, width), preprocess["interpolation"])
    scaled = image.transpose(2, 0, 1).astype(np.float32) / 255
    mean, std = (np.asarray(preprocess[key], dtype=np.float32)[:, None, None] for key in ("mean", "std"))
    normalised: Floats = (scaled - mean) / std
    if preprocess.get("canvas"):
        left, right, top, bottom = margins((height, width), preprocess["canvas"])
        normalised = np.pad(normalised, ((0, 0), (top, bottom), (left, right)))
    return normalised


def image_files(paths: Sequence[Path | str]) -> list[Path]:
    """The files of `paths`, a folder standing for the images in it, at any depth and in the order of their names.

    In a folder, files of no image's suffix and whatever has a name that begins with a dot are passed over. Raises
    BadSetting where there are no paths, BadData where a folder holds no images.
    """
    if not paths:
        raise BadSetting("no images", "at least one after the bundle", "for example neuroprompt run out/onnx cat.jpg")
    files: list[Path] = []
    for path in map(Path, paths):
        inside = list(_inside(path)) if path.is_dir() else [path]
        if not inside:
            raise BadData(f"{path} holds no images", f"files that end in {', '.join(sorted(SUFFIXES))}")
        files += inside
    return files


def _inside(folder: Path) -> Iterator[Path]:
    """The image files below a folder; a link to nowhere is one of them, so that its loss does not pass unseen."""
    with os.scandir(folder) as entries:
        shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in shown:
        if entry.is_dir(follow_symlinks=False):
            yield from _inside(folder / entry.name)
        elif Path(entry.name).suffix.lower() in SUFFIXES and not entry.is_dir():
            yield folder / entry.name
