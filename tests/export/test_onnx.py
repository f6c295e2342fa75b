"""ONNX export: baked equal to unbaked PyTorch, lean, with a dynamic batch, metadata and nothing that spikes."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from few_blocks import few_blocks
from net_bounds import rounding
from onnx import numpy_helper
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from neuroprompt.benchmarks.latency import bench
from neuroprompt.bundles.artefact import run
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.forms import chosen_form
from neuroprompt.bundles.image_files import read_image
from neuroprompt.bundles.predict import predict
from neuroprompt.bundles.results import Prediction, Unread
from neuroprompt.contracts.deployment import Exported, Exporter, ImageTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.energy.energy import count
from neuroprompt.errors import BadBundle, BadData, BadSetting, ParityError
from neuroprompt.onnxgraph.deployable import Unbaked, deployed, held_bytes
from neuroprompt.onnxgraph.file import metadata, operators
from neuroprompt.onnxgraph.parity import TOLERANCE, check_file, compare
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import load_data
from neuroprompt.training.deploy import deployed_tokens
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.model import PromptedModel
from neuroprompt.training.run_folder import Run

CLASSES = tuple("0123456789")


_few_blocks = few_blocks(2)


def untrained(method: str, data: str = "digits", image_size: int = 16, **settings: Any) -> Run:
    """A run whose prompt and head are as drawn; an export does not care whether they learned."""
    spec = BackboneSpec("embedded", image_size=image_size, random=True)
    config = RunConfig(method=method, settings=settings, backbone=spec, data=data, limit=40, classes=CLASSES)
    model = assemble(config, load_backbone(spec)).eval()
    nn.init.normal_(model.head.get_parameter("weight"))
    return Run(Path("nowhere"), config, model, TrainingMetrics())


@pytest.fixture(scope="module")
def spiking() -> Run:
    torch.manual_seed(1)
    return untrained("spike-nvpt", tokens=4)


@pytest.fixture(scope="module")
def exported(spiking: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Exported]:
    out = tmp_path_factory.mktemp("onnx") / "bundle"
    result = Exporter.named("onnx").export(spiking, out)
    return Bundle.open(out, "onnx"), result


@pytest.mark.floats
def test_the_file_agrees_with_unbaked_pytorch(spiking: Run, exported: tuple[Bundle, Exported]) -> None:
    bundle, result = exported
    assert 0 < result.figures["max_rel_diff"] <= TOLERANCE
    assert result.figures["top1_agreement"] == 1
    assert result.figures["min_cosine"] > 0.9999
    assert result.figures["batches"] == [1, 3, 8]
    assert result.figures["source"] == "digits, test split"
    tokens = deployed_tokens(spiking.model.prompt)
    unbaked = Unbaked(spiking.model, tokens)
    inputs = torch.randn(6, 3, 16, 16)
    again = check_file(bundle.folder / "model.onnx", unbaked, inputs, batches=(5, 1))
    assert again.max_abs_diff <= rounding(unbaked, inputs) + rounding(deployed(spiking.model, tokens), inputs)


def test_what_the_bundle_says(spiking: Run, exported: tuple[Bundle, Exported]) -> None:
    bundle, result = exported
    said = metadata(bundle.folder / "model.onnx")
    assert json.loads(said["mean"]) == [0.485, 0.456, 0.406]
    assert json.loads(said["std"]) == [0.229, 0.224, 0.225]
    assert json.loads(said["size"]) == [16, 16]
    assert json.loads(said["labels"]) == list(CLASSES)
    assert (said["interpolation"], said["method"], said["backbone"]) == ("bicubic", "spike-nvpt", "embedded")
    assert said["bits_sha256"] == bundle.about["bits_sha256"] == result.figures["bits_sha256"]
    assert bundle.about["backbone_macs"] > 1e6
    kept = load_file(bundle.folder / "prompt.safetensors")
    assert kept["tokens"].shape == (2, 4, 128)
    assert torch.equal(kept["head.weight"], spiking.model.head.get_parameter("weight"))
    assert json.dumps(bundle.about)


def test_no_weight_is_written_twice_and_the_size_over_the_bare_one_is_told(
    spiking: Run, exported: tuple[Bundle, Exported]
) -> None:
    bundle, result = exported
    file = bundle.folder / "model.onnx"
    tensors = [numpy_helper.to_array(tensor) for tensor in onnx.load(str(file)).graph.initializer]
    numbers = [tensor for tensor in tensors if tensor.dtype == np.float32 and tensor.size >= 4096]
    assert len({tensor.tobytes() for tensor in numbers}) == len(numbers)
    held = held_bytes(deployed(spiking.model, deployed_tokens(spiking.model.prompt)))
    # The joint projection beside the split one would be 3 x 128 x 128 numbers more in each block.
    assert sum(tensor.nbytes for tensor in numbers) <= held < file.stat().st_size < held + 3 * 128 * 128 * 4
    about: dict[str, float] = {
        "bytes": file.stat().st_size,
        "prompt_bytes": 2 * 2 * 4 * 128 * 4,
    }  # keys and values, 2 blocks, 4 tokens
    about["bytes_over_bare"] = round(about["bytes"] / (about["bytes"] - about["prompt_bytes"]), 4)
    assert bundle.about["bytes"] == about
    assert about.items() <= result.figures.items()


def test_the_graph_is_lean_and_tells_nothing_of_this_machine(exported: tuple[Bundle, Exported]) -> None:
    bundle, _ = exported
    file = bundle.folder / "model.onnx"
    found = operators(file)
    assert set(found) <= {
        *("Add", "Mul", "MatMul", "Gemm", "Conv", "LayerNormalization", "Softmax", "Gelu"),
        *("Concat", "Expand", "Reshape", "Transpose", "Shape", "Gather", "Slice", "Squeeze", "Unsqueeze"),
    }
    assert sum(found.values()) == bundle.about["nodes"]["baked"]
    assert str(Path(torch.__file__).parents[1]).encode() not in file.read_bytes()
    onnx.checker.check_model(str(file), full_check=True)
    (images,) = onnx.load(str(file)).graph.input
    batch, *rest = images.type.tensor_type.shape.dim
    assert batch.dim_param == "batch"
    assert [d.dim_value for d in rest] == [3, 16, 16]


def test_shallow_prompts_and_a_data_set_that_is_gone(tmp_path: Path) -> None:
    result = Exporter.named("onnx").export(untrained("vpt-shallow", f"folder:{tmp_path}/gone"), tmp_path / "out")
    assert 0 < result.figures["max_rel_diff"] <= TOLERANCE
    assert result.figures["source"].startswith(
        "seeded noise, because the run's data cannot be read: there is no folder"
    )


def test_no_prompt_at_all(tmp_path: Path) -> None:
    result = Exporter.named("onnx").export(untrained("linear"), tmp_path / "out")
    assert 0 < result.figures["max_rel_diff"] <= TOLERANCE
    assert result.figures["bits_sha256"] is None
    assert "tokens" not in load_file(tmp_path / "out" / "prompt.safetensors")


class Shares(nn.Module):
    """images in [0, 1] -> the probability of each class, by one form of a model."""

    def __init__(self, model: PromptedModel, form: nn.Module) -> None:
        super().__init__()
        self.model, self.form = model, form

    def forward(self, images: Tensor) -> Tensor:
        shares: Tensor = self.form(self.model.normalise(images)).softmax(1)
        return shares


@pytest.mark.floats
def test_a_bundle_predicts_what_the_run_does(spiking: Run, exported: tuple[Bundle, Exported], tmp_path: Path) -> None:
    bundle, _ = exported
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (row,) = predict(bundle, [tmp_path]).images
    assert isinstance(row, Prediction)
    resized = Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC)
    image = torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1)[None].float() / 255
    tokens = deployed_tokens(spiking.model.prompt)
    forms = [Shares(spiking.model, form) for form in (Unbaked(spiking.model, tokens), deployed(spiking.model, tokens))]
    with torch.no_grad():
        shares = forms[0](image)[0]
    assert row.label == CLASSES[int(shares.argmax())]
    assert abs(row.probability - float(shares.max())) <= sum(rounding(form, image) for form in forms)
    assert len(row.top5) == 5
    (tmp_path / "b.png").write_bytes(b"no image")
    both = predict(bundle, [tmp_path / "b.png", tmp_path / "a.png"])
    assert isinstance(both.images[0], Unread)
    assert "b.png cannot be read as an image" in both.images[0].error
    assert both.images[1] == row
    assert both.failed == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="no images"):
        predict(bundle, [tmp_path / "empty"])


def test_the_fused_form_runs_where_it_is_asked_for(exported: tuple[Bundle, Exported], tmp_path: Path) -> None:
    bundle, _ = exported
    fused = bundle.about["forms"]["fused"]
    assert fused["parity"]["max_rel_diff"] <= TOLERANCE
    assert fused["attentions"] == 2
    assert chosen_form(bundle) == "portable"
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    rows = [run(bundle, [tmp_path / "a.png"], form=form).json()["images"][0] for form in ("portable", "fused")]
    assert rows[0]["label"] == rows[1]["label"]
    portable, other = (count(bundle, form=form) for form in ("portable", "fused"))
    assert portable.backbone.macs == other.backbone.macs > 1e6
    assert portable.graphs.keys() == count(bundle).graphs.keys() == {"model.onnx"}
    assert other.graphs.keys() == {"model.fused.onnx"}
    with pytest.raises(BadSetting, match="portable, fused"):
        run(bundle, [tmp_path / "a.png"], form="int3")


def test_images_are_read_as_training_reads_them(shared: Path) -> None:
    folder = shared / "assets" / "data" / "eurosat10"
    data = load_data(f"folder:{folder}", Preprocess((24, 24)), 0, limit=20)
    file = sorted((folder / "test" / data.classes[0]).iterdir())[0]
    about = asdict(Preprocess((24, 24)))
    mine = torch.from_numpy(np.asarray(read_image(file, about)))
    whole = load_data(f"folder:{folder}", Preprocess((24, 24)), 0).test
    assert torch.equal(mine, whole[0][0].float() / 255)


def test_bench_of_a_bundle(exported: tuple[Bundle, Exported]) -> None:
    bundle, _ = exported
    result = bench(bundle, rounds=2, batch=2, threads=1)
    files = {"baked", "naive", "lean", "bare", "pytorch", "baked_fused", "lean_fused", "int8_dynamic"}
    assert set(result.ms) - {"openvino", "openvino_bf16", "web"} == files
    assert ("openvino" in result.ms) == (find_spec("openvino") is not None)
    assert ("openvino_bf16" in result.ms) == ImageTarget.part("openvino").computes_in("bf16")
    # Two blocks, each with an Expand and a Concat for keys and values; the batch's size is read once: two nodes.
    assert result.nodes["baked"] == bundle.about["nodes"]["baked"] <= result.nodes["lean"] + 2 * 4 + 2
    assert 0 < result.max_rel_diff <= TOLERANCE
    assert result.threads == 1
    (bundle.folder / "prompt.safetensors").rename(bundle.folder / "gone")
    try:
        with pytest.raises(BadBundle, match="does not say what it was made of"):
            bench(bundle)
    finally:
        (bundle.folder / "gone").rename(bundle.folder / "prompt.safetensors")


def test_a_file_that_differs_never_appears(spiking: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Off(nn.Module):
        def __init__(self, right: nn.Module) -> None:
            super().__init__()
            self.right = right

        def forward(self, images: Tensor) -> Tensor:
            features: Tensor = self.right(images)
            return features * 1.01

    right = type(spiking.model.backbone).baked
    monkeypatch.setattr(type(spiking.model.backbone), "baked", lambda self, *static: Off(right(self, *static)))
    with pytest.raises(ParityError, match=r"'logits'.*at most 0\.0001"):
        Exporter.named("onnx").export(spiking, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_parity_names_what_differs() -> None:
    expected = np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]], dtype=np.float32)
    assert compare(expected, expected).max_abs_diff == 0
    with pytest.raises(ParityError, match="of the logits' range"):
        compare(expected + np.float32(0.1), expected)
    with pytest.raises(ParityError):
        compare(np.full_like(expected, np.nan), expected)
    close = np.array([[0.0, 1.0, 1.00001]], dtype=np.float32)
    assert compare(close[:, [0, 2, 1]], close, tolerance=1e-4).top1_agreement == 0  # a tie within the difference
    with pytest.raises(BadData, match="at least 12"):
        check_file(Path("x"), nn.Identity(), torch.zeros(3, 3, 4, 4))
