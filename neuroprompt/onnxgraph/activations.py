"""Runs a graph on images, and sums up the activations inside it: their largest, their powers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from neuroprompt.contracts.deployment import Floats


def activations(
    model: onnx.ModelProto, tensors: Sequence[str], images: Floats, batch: int = 4
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The activations' values, a few images at a time."""
    import onnxruntime as ort

    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    twin.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(twin.SerializeToString(), options, providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0].name
    for start in range(0, len(images), batch):
        part = np.ascontiguousarray(images[start : start + batch], dtype=np.float32)
        yield dict(zip(tensors, session.run(list(tensors), {first: part}), strict=True))


def largest(model: onnx.ModelProto, tensors: Sequence[str], images: Floats) -> dict[str, NDArray[Any]]:
    """The largest magnitude of each activation by its last axis, the channels of tokens."""
    peaks: dict[str, NDArray[Any]] = {}
    for values in activations(model, tensors, images):
        for name, numbers in values.items():
            peak = np.abs(numbers).reshape(-1, numbers.shape[-1]).max(axis=0)
            peaks[name] = np.maximum(peaks.get(name, peak), peak)
    return peaks


def powers(model: onnx.ModelProto, tensors: Sequence[str], images: Floats) -> dict[str, NDArray[Any]]:
    """The sums of x^T x (k, k) over all tokens x (k) of each activation."""
    sums: dict[str, NDArray[Any]] = {}
    for values in activations(model, tensors, images):
        for name, numbers in values.items():
            rows = numbers.reshape(-1, numbers.shape[-1])
            power = rows.T @ rows
            sums[name] = sums[name] + power if name in sums else power
    return sums
