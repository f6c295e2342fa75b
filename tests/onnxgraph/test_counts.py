"""Multiply-accumulates of ONNX files: equal to what the torch modules do, and by hand for single operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import timm
import torch
from few_blocks import few_blocks
from onnx import TensorProto, helper
from torch import Tensor, nn

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadBundle, Unsupported
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.deployable import deployed
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.macs import count_macs
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import RunConfig

_few_blocks = few_blocks(3)


class Prompted(nn.Module):
    def __init__(self, backbone: nn.Module, tokens: Tensor) -> None:
        super().__init__()
        self.backbone, self.tokens = backbone, tokens

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.backbone(images, self.tokens)
        return features


def file_of(module: nn.Module, image: tuple[int, int, int], folder: Path) -> Path:
    to_onnx(module.eval(), image, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("form", ["bare", "lean", "baked", "naive"])
def test_each_form_of_a_vit_is_counted_from_its_own_file(form: str, tmp_path: Path) -> None:
    backbone, tokens = load_backbone(BackboneSpec("embedded", random=True)), torch.randn(3, 10, 128)
    modules: dict[str, nn.Module] = {
        "bare": backbone,
        "lean": backbone.baked(None),
        "baked": backbone.baked(tokens),
        "naive": Prompted(backbone, tokens),
    }
    found = count_graph(file_of(modules[form], (3, 64, 64), tmp_path)).total
    assert found.macs == count_macs(modules[form], torch.zeros(1, 3, 64, 64)) > 3e7


SWIN: dict[str, Any] = {"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 16, "depths": (1, 2)}
FAMILIES: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "swin_tiny_patch4_window7_224": SWIN | {"num_heads": (2, 4)},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_other_families(name: str, tmp_path: Path) -> None:
    model = timm.create_model(name, **FAMILIES[name]).eval()
    found = count_graph(file_of(model, (3, 32, 32), tmp_path))
    assert found.total.macs == count_macs(model, torch.zeros(1, 3, 32, 32)) > 1e6


@pytest.mark.parametrize("memory", ["lstm", "slstm"])
def test_a_prompt_that_is_made_between_the_blocks(memory: str, tmp_path: Path) -> None:
    """Its state's shape is reckoned in the graph, from the batch."""
    spec = BackboneSpec("embedded", image_size=16, random=True)
    config = RunConfig("lspt", {"memory": memory, "tokens": 4, "lstm_hidden": 8}, spec, classes=("a", "b"))
    model = deployed(assemble(config, load_backbone(spec)).eval())
    found = count_graph(file_of(model, (3, 16, 16), tmp_path)).total
    assert found.macs == count_macs(model, torch.zeros(1, 3, 16, 16)) > 1e6


@pytest.mark.filterwarnings("ignore")  # fvcore needs torch.jit, which is deprecated
def test_fvcore_gives_the_same_for_a_conv_net(tmp_path: Path) -> None:
    from fvcore.nn import FlopCountAnalysis

    layers = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4), nn.Flatten(), nn.Linear(8 * 14 * 14, 5)
    net = nn.Sequential(*layers)
    assert (
        count_graph(file_of(net, (3, 32, 32), tmp_path)).total.macs
        == FlopCountAnalysis(net, torch.zeros(1, 3, 32, 32)).total()
    )


def test_the_footprint_is_the_weights_and_the_traffic_each_operand_once(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Flatten(), nn.Linear(8 * 36, 5, bias=False))
    found = count_graph(file_of(net, (3, 8, 8), tmp_path))
    assert found.total.reads == 3 * 64 + 216 + 8 * 36 + 8 * 36 * 5
    assert found.total.writes == 8 * 36 + 5
    weights = 4 * (216 + 8 * 36 * 5)
    assert weights <= found.footprint < weights + 100  # and a shape or two
    assert found.by_operator().keys() == {"Conv", found.products[1].operator}


def graph_of(node: Any, inputs: dict[str, list[Any]], out: list[Any], folder: Path, opset: int = 23) -> Path:
    def values(shapes: dict[str, list[Any]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    opsets = [helper.make_opsetid(*of) for of in (("", opset), ("com.microsoft", 1))]
    graph = helper.make_graph([node], "g", values(inputs), values({"y": out}))
    onnx.save(helper.make_model(graph, opset_imports=opsets), str(folder / "a.onnx"))
    return folder / "a.onnx"


@pytest.mark.parametrize(
    ("operator", "shapes", "attributes", "macs"),
    [
        ("MatMul", [["batch", 2, 5, 3], [3, 4]], {}, 2 * 5 * 3 * 4),
        ("MatMul", [["batch", 2, 5, 3], ["batch", 2, 3, 4]], {}, 2 * 5 * 3 * 4),
        ("Gemm", [[6, 5], [6, 7]], {"transA": 1}, 5 * 6 * 7),
        ("Conv", [["batch", 4, 8, 8], [6, 2, 3, 3]], {"group": 2, "pads": [1, 1, 1, 1]}, 6 * 64 * 2 * 9),
        ("ConvTranspose", [["batch", 4, 5, 5], [4, 3, 3, 3]], {"group": 2, "strides": [2, 2]}, 4 * 25 * 3 * 9),
        ("Einsum", [["batch", 5, 3], [3, 4]], {"equation": "bnk,km->bnm"}, 5 * 3 * 4),
        ("Attention", [["batch", 4, 5, 8], ["batch", 4, 7, 8], ["batch", 4, 7, 6]], {}, 4 * 5 * 7 * (8 + 6)),
        ("MultiHeadAttention", [["batch", 5, 32], ["batch", 7, 32], ["batch", 7, 24]], {"num_heads": 4}, 5 * 7 * 56),
        (
            "Attention",
            [["batch", 5, 32], ["batch", 7, 16], ["batch", 7, 12]],
            {"q_num_heads": 4, "kv_num_heads": 2},
            4 * 5 * 7 * (8 + 6),
        ),
    ],
)
def test_single_operators_by_hand(
    operator: str, shapes: list[list[Any]], attributes: dict[str, Any], macs: int, tmp_path: Path
) -> None:
    inputs = {f"x{i}": [1 if n == "batch" else n for n in s] if i else s for i, s in enumerate(shapes)}
    domain = "com.microsoft" if operator == "MultiHeadAttention" else ""
    node = helper.make_node(operator, list(inputs), ["y"], domain=domain, **attributes)
    found = count_graph(graph_of(node, inputs, [None] * 4, tmp_path))
    assert found.total.macs == macs


def test_an_operator_that_may_hold_products_is_refused_by_name(tmp_path: Path) -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=3)
    file = graph_of(node, {"x": [4, 1, 2], "w": [1, 12, 2], "r": [1, 12, 3]}, [None] * 4, tmp_path)
    with pytest.raises(Unsupported, match="LSTM"):
        count_graph(file)
    fused = helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft")
    with pytest.raises(Unsupported, match="FusedMatMul"):
        count_graph(graph_of(fused, {"x": [4, 2], "w": [2, 3]}, [None] * 2, tmp_path))


def test_shapes_that_depend_on_more_than_the_batch_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")
    with pytest.raises(Unsupported, match="mm"):
        count_graph(graph_of(node, {"x": ["batch", "tokens", 3], "w": [3, 4]}, [None] * 3, tmp_path))


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("no")
    with pytest.raises(BadBundle, match=r"a\.onnx"):
        count_graph(tmp_path / "a.onnx")
    with pytest.raises(BadBundle):
        count_graph(tmp_path / "nowhere.onnx")
