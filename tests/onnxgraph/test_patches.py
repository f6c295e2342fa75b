"""Patches in 8 bits: pixels are the integers that they were, and the file answers as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.onnxgraph.bytewise import join_biases
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.patches import round_patches

PIXELS = Preprocess((12, 8), (0.485, 0.5, 0.406), (0.229, 0.5, 0.225))
WIDTH = 6


class Tokens(nn.Module):
    """Patches of 4 x 2 pixels as tokens, and classes of their mean."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, (4, 2), **{"stride": (4, 2), **settings})
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).flatten(2).transpose(1, 2).tanh().mean(1))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def images() -> NDArray[np.float32]:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 3, 12, 8))
    mean, std = (np.array(part).reshape(-1, 1, 1) for part in (PIXELS.mean, PIXELS.std))
    normalised: NDArray[np.float32] = ((pixels / 255 - mean) / std).astype(np.float32)
    return normalised


def written(folder: Path, **settings: Any) -> Path:
    torch.manual_seed(0)
    to_onnx(Tokens(**settings).eval(), (3, 12, 8), folder / "model.onnx")
    return folder / "model.onnx"


def logits(file: Path, images: NDArray[np.float32]) -> NDArray[Any]:
    return ImageTarget.named("onnxruntime").logits(file, images)


@pytest.mark.parametrize("bias", [True, False])
def test_patches_are_a_product_of_8_bits(bias: bool, images: NDArray[np.float32], tmp_path: Path) -> None:
    file = written(tmp_path, bias=bias)
    exact, before = logits(file, images), count_graph(file).total
    model = onnx.load(str(file))
    assert round_patches(model, PIXELS, images[:32]) == 1
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(file))
    assert "Conv" not in operators(file)
    after = count_graph(file).total
    assert (after.macs, after.macs_int8) == (before.macs, before.macs - WIDTH * 5)
    near = logits(file, images)
    assert 0 < np.abs(near - exact).max() < 0.02 * np.ptp(exact)
    assert join_biases(file) == 1
    assert np.abs(logits(file, images) - near).max() < 1e-5


def test_pixels_are_not_rounded_again(images: NDArray[np.float32], tmp_path: Path) -> None:
    """With the weights as they were, nothing but the order of sums differs."""
    file = written(tmp_path)
    exact = logits(file, images)
    model = onnx.load(str(file))
    weight = next(numpy_helper.to_array(t) for t in model.graph.initializer if list(t.dims) == [WIDTH, 3, 4, 2])
    assert round_patches(model, PIXELS, images) == 1
    scaled = weight / (255 * np.array(PIXELS.std, np.float32)).reshape(-1, 1, 1)
    model.graph.initializer.append(
        numpy_helper.from_array(np.ascontiguousarray(scaled.reshape(WIDTH, -1).T, np.float32), "patches_exact")
    )
    product = next(node for node in model.graph.node if node.op_type == "MatMul" and node.name.startswith("patches"))
    product.input[1] = "patches_exact"
    onnx.save(model, str(file))
    assert np.abs(logits(file, images) - exact).max() < 1e-5


@pytest.mark.parametrize("settings", [{"stride": (2, 2)}, {"padding": (2, 1)}, {"groups": 3}])
def test_other_convolutions_are_left(settings: dict[str, Any], images: NDArray[np.float32], tmp_path: Path) -> None:
    model = onnx.load(str(written(tmp_path, **settings)))
    before = model.SerializeToString(deterministic=True)
    assert round_patches(model, PIXELS, images) == 0
    assert model.SerializeToString(deterministic=True) == before
