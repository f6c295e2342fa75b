"""What the ONNX files of a bundle really use on this machine, where its processor counts joules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx

from neuroprompt.bundles.artefact import artefact
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.energy.rapl import Measurement, measure, zones
from neuroprompt.errors import Unsupported


@dataclass(frozen=True)
class MeasuredEnergy:
    """What an image took in every ONNX file of a bundle; without files, `reason` says why nothing was measured."""

    files: Mapping[str, Measurement]
    reason: str = ""

    @property
    def joules(self) -> float | None:
        """All files together, for one image."""
        return sum(each.joules for each in self.files.values()) if self.files else None

    def json(self) -> dict[str, object]:
        """The joules, and every file's; or why there are none."""
        if not self.files:
            return {"joules": None, "reason": self.reason}
        files = {name: each.json() for name, each in self.files.items()}
        return {"joules": self.joules, "files": files, "evidence": "measured"}


def measured(bundle: Bundle, seconds: float = 3.0, form: str | None = None) -> MeasuredEnergy:
    """Run the ONNX files of an opened bundle in ONNX Runtime for `seconds`, batch 1, and read the energy counters.

    Where the machine has no counters, or the bundle no ONNX file, the result says why.
    """
    try:
        zones()
        return MeasuredEnergy(_files(bundle, seconds, form))
    except Unsupported as error:
        return MeasuredEnergy({}, str(error))


def _files(bundle: Bundle, seconds: float, form: str | None) -> dict[str, Measurement]:
    runtime = ImageTarget.named("onnxruntime")
    files = {}
    for file in artefact(bundle).onnx_files(form):
        shape = onnx.load(str(file), load_external_data=False).graph.input[0].type.tensor_type.shape.dim
        image = np.zeros((1, *(dim.dim_value for dim in shape[1:])), np.float32)
        files[file.name] = measure(partial(runtime.logits, file, image), seconds)
    if not files:
        raise Unsupported(f"{bundle.folder} holds no ONNX file", "a bundle of 'neuroprompt export --target onnx'")
    return files
