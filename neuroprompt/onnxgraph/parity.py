"""Compares an exported file with the PyTorch model that it stands for, on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.deployment import Floats, ImageTarget
from neuroprompt.errors import BadData, ParityError
from neuroprompt.onnxgraph.file import OUTPUT

TOLERANCE = 1e-4
"""Share of the logits' range: above what rounding may do, below what a fault does.

ONNX Runtime sums the same float32 products in another order, and a bake rounds constants once more. An error analysis
of every method on every family of backbones bounds what that does to the logits by 8e-6 to 9e-5 of their range (six
standard deviations, every operation at its worst); 12 real blocks of DeiT-tiny have 7e-5, the 49 convolutions of
EfficientNet-lite0 9.5e-5. What is measured is a hundredth of it: some 5e-7. A prompt token that is missing changes the
logits by 1e-3 of their range or more. tests/test_every_method.py asserts both sides.
"""
BATCHES = (1, 3, 8)


@dataclass(frozen=True)
class Parity:
    """How close two arrays of logits (B, K) are.

    max_abs_diff    largest difference
    max_rel_diff    the same as a share of the logits' range, max - min over all of PyTorch's
    min_cosine      smallest cosine of two logit vectors
    top1_agreement  share of images of equal class
    images          B; in batches of `batches`, where they ran in several
    tolerance       what `max_rel_diff` may be
    """

    max_abs_diff: float
    max_rel_diff: float
    min_cosine: float
    top1_agreement: float
    images: int
    tolerance: float
    batches: tuple[int, ...] = ()

    def json(self) -> dict[str, Any]:
        """The fields by name; `batches` only where there were several."""
        values = asdict(self)
        batches = list(values.pop("batches"))
        return values | ({"batches": batches} if batches else {})


def check_file(
    file: Path, module: nn.Module, images: Tensor, batches: Sequence[int] = BATCHES, tolerance: float = TOLERANCE
) -> Parity:
    """Run `file` in ONNX Runtime and `module` in PyTorch on normalised images, a batch of each size; compare logits.

    Raises BadData where there are too few images, and ParityError as `compare`.
    """
    if len(images) < sum(batches):
        raise BadData(f"{len(images)} images to compare on", f"at least {sum(batches)}")
    images = images[: sum(batches)]
    with torch.inference_mode():
        expected = np.concatenate([module(part).numpy() for part in torch.split(images, max(batches))])
    runtime = ImageTarget.named("onnxruntime")
    logits = []
    for part, size in zip(torch.split(images, list(batches)), batches, strict=True):
        logits.append(runtime.logits(file, part.numpy()))
        if logits[-1].shape != (size, expected.shape[1]):
            raise ParityError(f"output {OUTPUT!r} has shape {logits[-1].shape}", f"{(size, expected.shape[1])}")
    return replace(compare(np.concatenate(logits), expected, tolerance), batches=tuple(batches))


def compare(got: Floats, expected: Floats, tolerance: float = TOLERANCE) -> Parity:
    """Two arrays of logits (B, K), `expected` being PyTorch's.

    relative difference = max |a - b| / (max b - min b), b being `expected`. Raises ParityError where it is above
    `tolerance`, or a class differs that is no tie within it.
    """
    span = float(np.ptp(expected))
    difference = float(np.abs(got - expected).max())
    relative = difference / span if span else difference
    cosine = float(F.cosine_similarity(torch.tensor(got).double(), torch.tensor(expected).double(), dim=1).min())
    theirs, ours = got.argmax(1), expected.argmax(1)
    rows = np.arange(len(expected))
    if not relative <= tolerance:  # also where it is no number
        raise ParityError(
            f"output {OUTPUT!r} of the exported file differs from PyTorch's by {relative:.2g} of the logits' range",
            f"at most {tolerance:g}",
        )
    margin = expected[rows, ours] - expected[rows, theirs]
    if float(margin.max()) > 2 * difference:
        raise ParityError(f"output {OUTPUT!r} of the exported file gives another class", "PyTorch's class")
    agreement = float((theirs == ours).mean())
    return Parity(difference, relative, cosine, agreement, len(expected), tolerance)
