"""How many of a bundle's multiplications have two factors that are not 0, on images of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.image_files import image_files, read_image
from neuroprompt.bundles.image_settings import preprocess_of
from neuroprompt.errors import BadBundle

MODEL = "model.onnx"


@dataclass(frozen=True)
class EffectiveCounts:
    """Means over `images` images: effective products with numbers (macs), with -1, 0 and 1 alone (acs), and all."""

    images: int
    macs: float
    acs: float
    dense: float

    @property
    def share(self) -> float:
        """The effective products among all."""
        return (self.macs + self.acs) / self.dense

    def json(self) -> dict[str, float]:
        """The counts by name."""
        return dict(vars(self))


def effective_of(bundle: Bundle, images: Sequence[Path | str]) -> EffectiveCounts:
    """Count the effective operations of an ONNX bundle on image files, and on those of folders.

    Raises BadBundle, BadData, and Unsupported for operators that are not counted.
    """
    from neuroprompt.onnxgraph.effective import effective

    if not (bundle.folder / MODEL).is_file():
        got = f"--images with {bundle.folder}, which holds no {MODEL}"
        raise BadBundle(got, "a bundle of 'neuroprompt export --target onnx'")
    pixels = np.stack([read_image(file, preprocess_of(bundle)) for file in image_files(images)])
    each = effective(bundle.folder / MODEL, pixels)
    return EffectiveCounts(len(pixels), each.macs, each.acs, each.dense)
