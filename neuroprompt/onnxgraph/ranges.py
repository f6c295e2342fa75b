"""The ranges of activations that 8 bits cover, found on images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Floats
from neuroprompt.onnxgraph.activations import activations

SHRINK = np.linspace(1.0, 0.3, 36)
"""Shares of an activation's full range that are tried; the one of the least squared error is taken."""
SAMPLE = 100_000
"""Numbers of an activation on which that error is measured."""


def ranges_of(model: onnx.ModelProto, tensors: Sequence[str], images: Floats) -> dict[str, tuple[float, float]]:
    """For each activation its range: of tokens all of it, else the share that 8 bits give with the least squared error.

    A token far out, such as the class token in the first block, counts more than its share of the numbers. Of one that
    is cut off at once (ReLU, ReLU6) what is left counts: the ends of a range cut off just as well.
    """
    left = {name: _left(model, name) for name in tensors}
    tokens = {node.input[0] for node in model.graph.node if node.op_type == "MatMul"}
    ranges = _measured(model, list(dict.fromkeys(left.values())), tokens, images)
    return {name: ranges[left[name]] for name in tensors}


def _left(model: onnx.ModelProto, name: str) -> str:
    """What a Clip or Relu leaves of `name`, where nothing else takes it; else `name` itself."""
    takers = [node for node in model.graph.node if name in node.input]
    return takers[0].output[0] if len(takers) == 1 and takers[0].op_type in ("Clip", "Relu") else name


def _measured(
    model: onnx.ModelProto, tensors: Sequence[str], full: Collection[str], images: Floats
) -> dict[str, tuple[float, float]]:
    samples: dict[str, list[NDArray[Any]]] = {name: [] for name in tensors}
    extremes = dict.fromkeys(tensors, (0.0, 0.0))
    rng, each = np.random.default_rng(0), max(1, SAMPLE // len(images))
    for values in activations(model, tensors, images):
        for name, numbers in values.items():
            low, high = extremes[name]
            extremes[name] = min(low, float(numbers.min())), max(high, float(numbers.max()))
            if name not in full:
                samples[name].append(rng.choice(numbers.reshape(-1), min(each, numbers.size), replace=False))
    return {
        name: extremes[name] if name in full else _best(np.concatenate(samples[name]), *extremes[name])
        for name in tensors
    }


def _best(numbers: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    errors = []
    for share in SHRINK:
        scale = max((high - low) * share / 255, 1e-12)
        zero = np.round(-low * share / scale)
        levels = np.clip(np.round(numbers / scale) + zero, 0, 255)
        errors.append(float(np.square((levels - zero) * scale - numbers).mean()))
    share = float(SHRINK[int(np.argmin(errors))])
    return low * share, high * share
