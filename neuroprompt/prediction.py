"""Labels and probabilities of picture files, from an ONNX bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from neuroprompt.bundle import Bundle
from neuroprompt.contracts import Floats, ImageTarget, Target
from neuroprompt.errors import BadData
from neuroprompt.progress import SILENT, Progress

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def predict(bundle: Bundle, paths: Sequence[Path | str], progress: Progress = SILENT) -> list[dict[str, Any]]:
    """For every picture {"file", "label", "probability", "top5": [[label, probability], ...]}.

    A folder stands for the pictures in it. Preprocessing and labels are the bundle's own. Raises BadData.
    """
    runtime = Target.named("onnxruntime")
    assert isinstance(runtime, ImageTarget)
    preprocess, classes = bundle.about["preprocess"], bundle.about["classes"]
    found = []
    for file in progress.track(_files(paths), "pictures"):
        logits = runtime.logits(bundle.folder / "model.onnx", read_picture(file, preprocess)[None])[0].astype(
            np.float64
        )
        exponents = np.exp(logits - logits.max())
        shares = exponents / exponents.sum()
        top = [(classes[i], float(shares[i])) for i in np.argsort(-shares)[:5]]
        found.append({"file": str(file), "label": top[0][0], "probability": top[0][1], "top5": [list(t) for t in top]})
    return found


def read_picture(file: Path, preprocess: Mapping[str, Any]) -> Floats:
    """One picture as the backbone's input (3, H, W): resized, scaled to [0, 1], (x - mean) / std; raises BadData."""
    height, width = preprocess["size"]
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadData(f"{file} cannot be read as a picture ({error})", "a whole picture") from error
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling[preprocess["interpolation"].upper()])
    pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255
    mean, std = (np.asarray(preprocess[key], dtype=np.float32)[:, None, None] for key in ("mean", "std"))
    normalised: Floats = (pixels - mean) / std
    return normalised


def _files(paths: Sequence[Path | str]) -> list[Path]:
    found: list[Path] = []
    for path in map(Path, paths):
        inside = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES] if path.is_dir() else [path]
        if not inside:
            raise BadData(f"{path} holds no pictures", f"files that end in {', '.join(sorted(SUFFIXES))}")
        found += sorted(inside)
    return found
