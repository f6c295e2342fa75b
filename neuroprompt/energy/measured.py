"""What the ONNX files of a bundle really use on this machine, where its processor counts joules."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.energy.rapl import measure, zones
from neuroprompt.errors import Unsupported


def measured(bundle: Bundle, seconds: float = 3.0) -> dict[str, Any]:
    """Joules an image of every ONNX file of an opened bundle, in ONNX Runtime, batch 1; raises Unsupported.

    "files" by name as `neuroprompt.energy.rapl.measure` gives them, and "joules", their sum.
    """
    zones()
    runtime = ImageTarget.named("onnxruntime")
    files = {}
    for file in sorted(bundle.folder.glob("*.onnx")):
        shape = onnx.load(str(file), load_external_data=False).graph.input[0].type.tensor_type.shape.dim
        image = np.zeros((1, *(dim.dim_value for dim in shape[1:])), np.float32)
        files[file.name] = measure(lambda file=file, image=image: runtime.logits(file, image), seconds)  # type: ignore[misc]
    if not files:
        raise Unsupported(f"{bundle.folder} holds no ONNX file", "a bundle of 'neuroprompt export --target onnx'")
    return {"joules": sum(one["joules"] for one in files.values()), "files": files, "evidence": "measured"}
