"""Labels and probabilities of image files, from an ONNX bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.contracts.deployment import Floats, ImageTarget
from neuroprompt.contracts.padding import margins
from neuroprompt.errors import BadData
from neuroprompt.progress import SILENT, Progress

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def predict(bundle: Bundle, paths: Sequence[Path | str], progress: Progress = SILENT) -> list[dict[str, Any]]:
    """For every image {"file", "label", "probability", "top5": [[label, probability], ...]}.

    A folder stands for the images in it. Preprocessing and labels are the bundle's own. Raises BadData.
    """
    runtime = ImageTarget.named("onnxruntime")
    preprocess, classes = bundle.about["preprocess"], bundle.about["classes"]
    found = []
    for file in progress.track(image_files(paths), "images"):
        logits = runtime.logits(bundle.folder / "model.onnx", read_image(file, preprocess)[None])
        found.append(labelled(file, logits[0], classes))
    return found


def labelled(file: Path, logits: Floats, classes: Sequence[str]) -> dict[str, Any]:
    """What `predict` says of one image, from its logits (K,)."""
    exponents = np.exp(logits.astype(np.float64) - float(logits.max()))
    shares = exponents / exponents.sum()
    top = [[classes[i], float(shares[i])] for i in np.argsort(-shares)[:5]]
    return {"file": str(file), "label": top[0][0], "probability": top[0][1], "top5": top}


def read_image(file: Path, preprocess: Mapping[str, Any]) -> Floats:
    """One image as the file's input (3, H, W): see `Preprocess`; raises BadData."""
    height, width = preprocess["size"]
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadData(f"{file} cannot be read as an image ({error})", "a whole image") from error
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling[preprocess["interpolation"].upper()])
    pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255
    mean, std = (np.asarray(preprocess[key], dtype=np.float32)[:, None, None] for key in ("mean", "std"))
    normalised: Floats = (pixels - mean) / std
    if preprocess.get("canvas"):
        left, right, top, bottom = margins((height, width), preprocess["canvas"])
        normalised = np.pad(normalised, ((0, 0), (top, bottom), (left, right)))
    return normalised


def image_files(paths: Sequence[Path | str]) -> list[Path]:
    """The files of `paths`, a folder standing for the images in it; raises BadData where it holds none."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES] if path.is_dir() else [path]
        if not inside:
            raise BadData(f"{path} holds no images", f"files that end in {', '.join(sorted(SUFFIXES))}")
        found += sorted(inside)
    return found
