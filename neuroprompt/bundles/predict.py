"""Labels and probabilities of image files, from an ONNX bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.contracts.deployment import Floats, ImageTarget
from neuroprompt.contracts.padding import margins
from neuroprompt.errors import BadData
from neuroprompt.images import SUFFIXES, files_in, images_of, pixels, read_rgb
from neuroprompt.progress import SILENT, Progress


def predict(bundle: Bundle, paths: Sequence[Path | str], progress: Progress = SILENT) -> list[dict[str, Any]]:
    """For every image {"file", "label", "probability", "top5": [[label, probability], ...]}.

    A folder stands for the images in it. Preprocessing and labels are the bundle's own. Raises BadData.
    """
    runtime = ImageTarget.named("onnxruntime")
    preprocess, classes = bundle.about["preprocess"], bundle.about["classes"]
    predictions = []
    for file in progress.track(image_files(paths), "images"):
        logits = runtime.logits(bundle.folder / "model.onnx", read_image(file, preprocess)[None])
        predictions.append(labelled(file, logits[0], classes))
    return predictions


def labelled(file: Path, logits: Floats, classes: Sequence[str]) -> dict[str, Any]:
    """What `predict` says of one image, from its logits (K,)."""
    exponents = np.exp(logits.astype(np.float64) - float(logits.max()))
    shares = exponents / exponents.sum()
    top = [[classes[i], float(shares[i])] for i in np.argsort(-shares)[:5]]
    return {"file": str(file), "label": top[0][0], "probability": top[0][1], "top5": top}


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
    """The files of `paths`, a folder standing for all images in it; raises BadData where it has none."""
    files: list[Path] = []
    for path in map(Path, paths):
        inside = images_of(files_in(path)) if path.is_dir() else [path]
        if not inside:
            raise BadData(f"{path} holds no images", f"files that end in {', '.join(sorted(SUFFIXES))}")
        files += inside
    return files
