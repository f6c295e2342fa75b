"""Fused attention: the same logits, the same multiply-accumulates, and no weight written twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from net_bounds import rounding
from torch import Tensor, nn

from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadBundle
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.deployable import deployed
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.fuse import fuse
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import EMBEDDED, load_backbone
from neuroprompt.training.config import RunConfig

SPEC = BackboneSpec("embedded", image_size=16, random=True)


@pytest.fixture(autouse=True)
def _few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EMBEDDED, "depth", 3)


def forms(module: nn.Module, folder: Path) -> tuple[Path, Path, int]:
    to_onnx(module, (3, 16, 16), folder / "model.onnx")
    return folder / "model.onnx", folder / "fused.onnx", fuse(folder / "model.onnx", folder / "fused.onnx")


@pytest.mark.floats
@pytest.mark.parametrize("prompt", ["deep", "shallow", "none"])
def test_the_fused_file_computes_the_same_in_every_batch(prompt: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = load_backbone(SPEC)
    tokens: Tensor | None = {"deep": torch.randn(3, 5, 128), "shallow": torch.randn(1, 5, 128), "none": None}[prompt]
    module = backbone.baked(tokens)
    portable, fused, count = forms(module, tmp_path)
    assert count == 3
    assert operators(fused)["MultiHeadAttention"] == 3
    assert "Softmax" not in operators(fused)
    assert count_graph(fused).total.macs == count_graph(portable).total.macs
    assert count_graph(fused).total.writes < count_graph(portable).total.writes, "scores stay where they are made"
    for batch in (1, 3):
        images = torch.randn(batch, 3, 16, 16)
        with torch.inference_mode():
            expected = module(images).numpy()
        got = ImageTarget.named("onnxruntime").logits(fused, images.numpy())
        assert float(np.abs(got - expected).max()) <= 2 * rounding(module, images)


def test_no_weight_is_written_twice(tmp_path: Path) -> None:
    torch.manual_seed(0)
    portable, fused, _ = forms(load_backbone(SPEC).baked(torch.randn(3, 5, 128)), tmp_path)
    prompts = 3 * 2 * 5 * 128 * 4
    assert fused.stat().st_size < prompts + 60_000 < portable.stat().st_size / 20
    assert count_graph(fused).footprint == pytest.approx(count_graph(portable).footprint, abs=1000)
    onnx.checker.check_model(str(fused), full_check=True)


def test_a_network_without_attention_has_no_fused_file(tmp_path: Path) -> None:
    _, fused, count = forms(timm.create_model("resnet10t", num_classes=0).eval(), tmp_path)
    assert count == 0
    assert not fused.exists()
    (tmp_path / "no.onnx").write_text("no")
    with pytest.raises(BadBundle, match=r"no\.onnx"):
        fuse(tmp_path / "no.onnx", fused)


def test_a_prompt_that_depends_on_the_image(tmp_path: Path) -> None:
    """What has another pattern (scores with a learned temperature) stays as it is."""
    config = RunConfig("lspt", {"memory": "lstm", "tokens": 4, "lstm_hidden": 8}, SPEC, classes=("a", "b"))
    portable, fused, count = forms(deployed(assemble(config, load_backbone(SPEC)).eval()), tmp_path)
    if count:
        images = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
        runtime = ImageTarget.named("onnxruntime")
        np.testing.assert_allclose(runtime.logits(fused, images), runtime.logits(portable, images), rtol=1e-3)
