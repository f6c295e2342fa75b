"""Images to label, and what stands for a bundle that labels them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neuroprompt.bundles.bundle import Bundle, write_bundle
from neuroprompt.bundles.classify import Classify
from neuroprompt.contracts.deployment import Floats

PREPROCESS = {"size": [2, 3], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
CLASSES = ("dark", "grey", "light")


def infer(inputs: Floats) -> tuple[Floats, None]:
    """Logits that depend on the image."""
    mean = inputs.mean(axis=(1, 2, 3))
    return np.stack([-mean, 0 * mean, mean], axis=1), None


def classify(batch: int = 4, workers: int = 2) -> Classify:
    return Classify(PREPROCESS, CLASSES, infer, batch, workers)


def images(folder: Path, count: int, broken: tuple[int, ...] = ()) -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        file = folder / f"{i:05}.png"
        Image.new("RGB", (3, 2), (i * 7 % 256, i * 5 % 256, i % 256)).save(file)
        if i in broken:
            file.write_bytes(file.read_bytes()[:40])
    return folder


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


class Killed(Exception):
    """Stands for the end of the process: nothing after it runs."""


def means_bundle(out: Path, preprocess: dict[str, Any], classes: tuple[str, ...]) -> Bundle:
    """The smallest ONNX bundle: the mean of every channel is the logit of a class."""
    import onnx
    from onnx import TensorProto, helper

    shape: list[str | int | None] = ["batch", 3, *preprocess["size"]]
    node = helper.make_node("ReduceMean", ["images"], ["logits"], axes=[2, 3], keepdims=0)
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape[:2])]
    graph = helper.make_graph([node], "means", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    def fill(folder: Path) -> dict[str, Any]:
        onnx.save(model, str(folder / "model.onnx"))
        return {"preprocess": preprocess, "classes": classes}

    return write_bundle(out, "onnx", fill)
