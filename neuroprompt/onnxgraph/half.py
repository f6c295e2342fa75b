"""Writes an ONNX file in 16-bit floats, for GPUs and mobile processors; images and logits stay 32-bit."""

from __future__ import annotations

from pathlib import Path

import onnx

from neuroprompt.errors import ParityError


def halve(file: Path, out: Path) -> int:
    """Write `file` with 16-bit weights and activations to `out`; returns how many constants are 16-bit.

    Numbers beyond 65,504 are clipped, norms and softmax sum in 32 bits where the runtime does. Raises ParityError where
    nothing was changed.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(str(file)), keep_io_types=True, disable_shape_infer=True)
    count = int(sum(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer))
    if not count:
        raise ParityError(f"no 16-bit constant in {out.name}", "at least one")
    out.write_bytes(model.SerializeToString())
    return count
