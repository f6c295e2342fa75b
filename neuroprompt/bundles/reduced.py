"""Adds a file in fewer bits to an ONNX bundle: what it costs in accuracy is measured, and too much is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neuroprompt.bundles.forms import DYNAMIC, FILES, FUSED, HALF, INT8, PORTABLE
from neuroprompt.contracts.deployment import Floats, ImageTarget, Precision
from neuroprompt.errors import BadData, BadSetting, ParityError
from neuroprompt.onnxgraph.bytewise import join_biases
from neuroprompt.onnxgraph.faster import Faster, faster
from neuroprompt.onnxgraph.fuse import fuse
from neuroprompt.onnxgraph.half import halve
from neuroprompt.onnxgraph.quantise import quantise, quantise_dynamic
from neuroprompt.progress import Progress
from neuroprompt.robustness.noise import Noise
from neuroprompt.training.dataset import as_floats, batches, load_data, size_of

if TYPE_CHECKING:
    from neuroprompt.contracts.learning import Images
    from neuroprompt.training.run_folder import Run

NOISE = Noise("gaussian", 0.1)
MOST = 2000
"""Images of the split, spread evenly, on which accuracies are measured: a standard error of about 1 point at 75 %."""
BATCH = 8


@dataclass(frozen=True)
class Beside:
    """What a file in fewer bits gets right of `images` images beside the 32-bit one, as shares.

    agreement     of images that both give the same class
    max_rel_diff  the largest difference of logits, of the range of the 32-bit file's
    """

    accuracy: float
    accuracy_fp32: float
    agreement: float
    max_rel_diff: float
    images: int

    @property
    def drop(self) -> float:
        """How much the accuracy fell."""
        return self.accuracy_fp32 - self.accuracy


@dataclass(frozen=True)
class Reduced:
    """What the manifest says of a file in fewer bits.

    clean, noisy     on clean images of `split`, and under NOISE
    calibrated_on    images on which 8 bits were calibrated; 0 where none were
    count            products of 8 bits in the file, or constants of 16 where it is `half`
    size, size_fp32  bytes of the file, and of the 32-bit one
    over_fp32        its time over that of the faster 32-bit file
    """

    clean: Beside
    noisy: Beside
    split: str
    calibrated_on: int
    half: bool
    count: int
    size: int
    size_fp32: int
    over_fp32: Faster

    def json(self) -> dict[str, Any]:
        """As JSON-able values."""
        noisy = {"accuracy": self.noisy.accuracy, "accuracy_fp32": self.noisy.accuracy_fp32}
        return {
            **vars(self.clean),
            "drop": self.clean.drop,
            "noise": {str(NOISE): noisy},
            "split": self.split,
            "calibrated_on": self.calibrated_on,
            "half_constants" if self.half else "quantised_nodes": self.count,
            "bytes": self.size,
            "bytes_fp32": self.size_fp32,
            "over_fp32": self.over_fp32.json(),
        }


def write_reduced(run: Run, folder: Path, precision: Precision, progress: Progress) -> Reduced:
    """Write the file in fewer bits beside those of `folder`; what it costs and gains.

    The gate: accuracy on the validation images may fall by `precision.max_drop` points below that of the 32-bit file;
    without validation images it is measured on test images, and `split` says so. Raises BadData, BadSetting,
    Unsupported, and ParityError where accuracy fell too far.
    """
    bits, config = precision.bits, run.config
    if bits not in (INT8, DYNAMIC, HALF):
        raise BadSetting(f"precision {bits!r}", f"fp32, {INT8}, {DYNAMIC} or {HALF}")
    whole, file, rival = folder / FILES[PORTABLE], folder / FILES[bits], folder / FILES[FUSED]
    progress.say(f"the {bits} file")
    data = load_data(config.data, run.model.preprocess, config.seed, config.limit, progress, val=config.val)
    calibration = None if bits == HALF else _spread(run, data.train, precision.images)
    count = halve(whole, file) if calibration is None else _write(run, file, bits, calibration, progress)
    split, images = ("val", data.val) if size_of(data.val) else ("test", data.test)
    if not size_of(images):
        raise BadData(f"{config.data} without validation and test images", "some to measure the loss of accuracy on")
    clean = _beside(run, images, (whole, file), None, progress)
    points = 100 * clean.drop
    if points > precision.max_drop:
        got = f"accuracy {clean.accuracy:.1%} in {bits}, {clean.accuracy_fp32:.1%} in 32 bits, on {clean.images} images"
        expected = f"a loss of at most {precision.max_drop:g} points, not {points:.2f}"
        raise ParityError(got, expected, "calibrate on more images (--calibration-images), or allow more (--max-drop)")
    noisy = _beside(run, images, (whole, file), NOISE, progress)
    timed = faster(file, rival if rival.is_file() else whole, _spread(run, images, BATCH))
    return Reduced(
        clean=clean,
        noisy=noisy,
        split=split,
        calibrated_on=0 if calibration is None else len(calibration),
        half=bits == HALF,
        count=count,
        size=file.stat().st_size,
        size_fp32=whole.stat().st_size,
        over_fp32=timed,
    )


def _write(run: Run, file: Path, bits: str, calibration: Floats, progress: Progress) -> int:
    """Write the file in 8 bits beside the portable one; how many of its products take them."""
    whole, plain, pixels = file.with_name(FILES[PORTABLE]), file.with_suffix(".plain"), run.model.preprocess
    if bits == DYNAMIC:
        count = quantise_dynamic(whole, plain, calibration, pixels)
    else:
        count = quantise(whole, plain, calibration, pixels, progress=progress)
    if fuse(plain, file, share=False):
        plain.unlink()
    else:
        plain.rename(file)
    join_biases(file)
    return count


@torch.no_grad()
def _spread(run: Run, images: Images, count: int) -> Floats:
    """At most `count` normalised images (B, C, H, W), spread evenly over `images`."""
    if count < 1 or not size_of(images):
        raise BadSetting(f"{count} of {size_of(images)} images to calibrate on", "at least 1")
    chosen = [images[i][0] for i in _places(images, count)]
    inputs: Floats = run.model.inputs(as_floats(torch.stack(chosen))).numpy()
    return inputs


def _places(images: Images, count: int) -> list[int]:
    total = size_of(images)
    count = min(total, count)
    return [i * total // count for i in range(count)]


@torch.no_grad()
def _beside(run: Run, images: Images, files: Sequence[Path], noise: Noise | None, progress: Progress) -> Beside:
    """Both files on the same images."""
    runtimes = [ImageTarget.named("onnxruntime") for _ in files]
    logits: list[list[Floats]] = [[] for _ in files]
    labels: list[Tensor] = []
    places = _places(images, MOST)
    rows = [places[i : i + BATCH] for i in range(0, len(places), BATCH)]
    what = "accuracy" if noise is None else f"accuracy under {noise}"
    for row, (raw, truth) in zip(rows, progress.track(batches(images, rows), what, len(rows)), strict=True):
        pixels = as_floats(raw)
        if noise is not None:
            pixels = torch.stack([noise(pixel, i) for pixel, i in zip(pixels, row, strict=True)])
        inputs = run.model.inputs(pixels).numpy()
        for runtime, file, kept in zip(runtimes, files, logits, strict=True):
            kept.append(runtime.logits(file, inputs))
        labels.append(truth)
    whole, reduced = (np.concatenate(parts) for parts in logits)
    right = torch.cat(labels).numpy()
    return Beside(
        accuracy=float((reduced.argmax(1) == right).mean()),
        accuracy_fp32=float((whole.argmax(1) == right).mean()),
        agreement=float((reduced.argmax(1) == whole.argmax(1)).mean()),
        max_rel_diff=float(np.abs(reduced - whole).max() / (np.ptp(whole) or 1)),
        images=len(right),
    )
