"""Fused attention: the same logits, the same multiply-accumulates, and no weight written twice."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
import timm
import torch
from few_blocks import few_blocks
from net_bounds import rounding
from torch import Tensor, nn

from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadBundle
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.fuse import fuse
from neuroprompt.training.backbone import load_backbone

SPEC = BackboneSpec("embedded", image_size=16, random=True)


_few_blocks = few_blocks(3)


@cache
def vit(prompt: str) -> tuple[nn.Module, bytes]:
    """Three blocks with that prompt, and the file that torch exports."""
    torch.manual_seed(0)
    backbone = load_backbone(SPEC)
    tokens: Tensor | None = {"deep": torch.randn(3, 5, 128), "shallow": torch.randn(1, 5, 128), "none": None}[prompt]
    module = backbone.baked(tokens)
    return module, file_of(module)


def file_of(module: nn.Module) -> bytes:
    with TemporaryDirectory() as folder:
        to_onnx(module, (3, 16, 16), Path(folder) / "model.onnx")
        return (Path(folder) / "model.onnx").read_bytes()


def forms(exported: bytes, folder: Path) -> tuple[Path, Path, int]:
    (folder / "model.onnx").write_bytes(exported)
    return folder / "model.onnx", folder / "fused.onnx", fuse(folder / "model.onnx", folder / "fused.onnx")


@pytest.mark.floats
@pytest.mark.parametrize("prompt", ["deep", "shallow", "none"])
def test_the_fused_file_computes_the_same_in_every_batch(prompt: str, tmp_path: Path) -> None:
    module, exported = vit(prompt)
    portable, fused, count = forms(exported, tmp_path)
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
    portable, fused, _ = forms(vit("deep")[1], tmp_path)
    prompts = 3 * 2 * 5 * 128 * 4
    assert fused.stat().st_size < prompts + 60_000 < portable.stat().st_size / 20
    assert abs(count_graph(fused).footprint - count_graph(portable).footprint) < 1000, "shapes, and no weight"
    onnx.checker.check_model(str(fused), full_check=True)


def test_a_network_without_attention_has_no_fused_file(tmp_path: Path) -> None:
    _, fused, count = forms(file_of(timm.create_model("resnet10t", num_classes=0).eval()), tmp_path)
    assert count == 0
    assert not fused.exists()
    (tmp_path / "no.onnx").write_text("no")
    with pytest.raises(BadBundle, match=r"no\.onnx"):
        fuse(tmp_path / "no.onnx", fused)


def test_a_graph_with_loops_stays_as_it_is(tmp_path: Path) -> None:
    """A loop's body may take any value of the graph, the ones that fusing removes among them."""
    portable, fused, count = forms(vit("none")[1], tmp_path)
    assert count == 3
    fused.unlink()
    model = onnx.load(str(portable))
    value = onnx.helper.make_tensor_value_info
    inner = onnx.helper.make_node("Identity", [model.graph.output[0].name], ["inner"])
    branch = onnx.helper.make_graph([inner], "branch", [], [value("inner", onnx.TensorProto.FLOAT, None)])
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "yes"))
    both = {"then_branch": branch, "else_branch": branch}
    model.graph.node.append(onnx.helper.make_node("If", ["yes"], ["chosen"], **both))
    onnx.save(model, str(portable))
    assert fuse(portable, fused) == 0
    assert not fused.exists()
