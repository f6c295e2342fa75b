"""What an ONNX bundle must give on any machine: logits of images that every machine can make, written and redone.

The images are waves of whole numbers, so that they are the same bytes everywhere and need no file. Beside PyTorch's
logits stand those of each file in fewer bits as the exporting machine computed them: the same file on another processor
may answer otherwise, and this is where that is seen.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.forms import DYNAMIC, INT8, forms_of
from neuroprompt.bundles.image_files import normalised
from neuroprompt.contracts.deployment import Floats, ImageTarget
from neuroprompt.errors import BadBundle, NeuropromptError
from neuroprompt.onnxgraph.faster import processor_flags

CHECK, WHOLE = "check.npz", "pytorch"
COUNT = 3
BYTEWISE = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"})
"""Instructions that sum 8-bit products in 32 bits."""


@dataclass(frozen=True)
class Redone:
    """One file of a bundle in one runtime, here.

    max_rel_diff    largest difference from the logits that the bundle holds, of their range; None where it did not run
    top1_agreement  share of images of equal class
    tolerance       what the difference may be: that of the export for 32 bits, else what fewer bits themselves changed
    note            what else there is to know, or why it did not run
    """

    form: str
    runtime: str
    max_rel_diff: float | None
    top1_agreement: float
    tolerance: float
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the file answers as it did where it was exported."""
        return self.max_rel_diff is not None and self.max_rel_diff <= self.tolerance

    def __str__(self) -> str:
        if self.max_rel_diff is None:
            return self.note
        line = f"differs by {self.max_rel_diff:.1e} of the logits' range, {self.tolerance:.1e} is allowed"
        line += f"; {self.top1_agreement:.0%} of the classes equal"
        return f"{line}; {self.note}" if self.note else line


def check_inputs(preprocess: Mapping[str, Any]) -> Floats:
    """The images as a model's inputs (COUNT, 3, H, W): triangle waves of periods and directions that differ."""
    height, width = preprocess["size"]
    y, x, c, i = np.ogrid[:height, :width, :3, :COUNT]
    total: NDArray[np.int64] = np.zeros((height, width, 3, COUNT), np.int64)
    for k in range(1, 5):
        period = 2 * (7 * k + 3 * c + 5)
        phase = (x * (i + k) + y * (2 * i + 1 + k % 3) + 11 * c * k) % period
        total += np.abs(phase - period // 2) * 255 // (period // 2)
    images = (total // 4).clip(0, 255).astype(np.uint8)
    return normalised(np.ascontiguousarray(np.moveaxis(images, -1, 0)), preprocess)


def write_check(folder: Path, about: Mapping[str, Any], whole: Callable[[Floats], Floats], fewer: list[str]) -> None:
    """Write CHECK beside the files of `folder`: logits by `whole`, the model in PyTorch, and of the forms `fewer`."""
    inputs = check_inputs(about["preprocess"])
    files = forms_of(Bundle(folder, "onnx", {}))
    logits = {WHOLE: whole(inputs)}
    logits |= {form: ImageTarget.named("onnxruntime").logits(files[form], inputs) for form in fewer}
    data = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(values, np.float32) for name, values in logits.items()}
    np.savez_compressed(data, allow_pickle=False, **arrays)
    (folder / CHECK).write_bytes(data.getvalue())


def redo(bundle: Bundle) -> list[Redone]:
    """Run every file of the bundle in every runtime that is here, and compare; raises BadBundle for older bundles."""
    try:
        with np.load(bundle.folder / CHECK, allow_pickle=False) as kept:
            expected = {name: kept[name] for name in kept.files}
        whole = expected[WHOLE]
    except (OSError, ValueError, KeyError) as error:
        got = f"{bundle.folder} holds no logits to compare with"
        raise BadBundle(got, f"its {CHECK}", "export it again with this version") from error
    inputs = check_inputs(bundle.about["preprocess"])
    results = []
    for name in ImageTarget.names():
        if not ImageTarget.part(name).available().ok:
            continue
        target = ImageTarget.named(name)
        for form, file in forms_of(bundle).items():
            fewer = expected.get(form)
            tolerance = bundle.about["parity"]["tolerance"]
            if fewer is not None:
                tolerance = max(tolerance, _apart(fewer, whole))
            note = "" if form not in (INT8, DYNAMIC) or BYTEWISE & set(processor_flags()) else NO_VNNI
            try:
                here = target.logits(file, inputs)
            except NeuropromptError as error:
                results.append(Redone(form, name, None, 0.0, tolerance, str(error)))
                continue
            there = whole if fewer is None else fewer
            same = float((here.argmax(1) == there.argmax(1)).mean())
            results.append(Redone(form, name, _apart(here, there), same, tolerance, note))
    return results


NO_VNNI = "no VNNI here: weights are such that sums of 16 bits do not saturate, and 8 bits gain less"


def _apart(got: Floats, expected: Floats) -> float:
    """The largest difference as a share of the range of `expected`; infinite where one is no number."""
    apart = float(np.abs(got - expected).max() / (np.ptp(expected) or 1))
    return apart if np.isfinite(apart) else float("inf")
