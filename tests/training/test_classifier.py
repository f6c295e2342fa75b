"""Text classifiers from a file, and CLIP's projection: used as CLIP uses them, deployed, and rejected in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from float_bounds import U32, gamma
from net_bounds import assert_rounding_apart, rounding
from torch import Tensor
from torch.nn import functional as F

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadCheckpoint, BadSetting, BadWeights, Unsupported
from neuroprompt.onnxgraph.deployable import deployed
from neuroprompt.training.assemble import build
from neuroprompt.training.backbone import load_projection
from neuroprompt.training.classifier import Projected, read_classifier
from neuroprompt.training.config import configure
from neuroprompt.training.loop import train
from neuroprompt.training.run_folder import Run


def saved(file: Path, **tensors: Tensor) -> Path:
    safetensors.torch.save_file(tensors, file)
    return file


def rows(count: int, features: int = 128) -> Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(1))


def test_text_embeddings_are_compared_by_direction(tmp_path: Path) -> None:
    layer = read_classifier(saved(tmp_path / "c.safetensors", weight=3 * rows(10), scale=torch.tensor(100.0)))
    spec = BackboneSpec(random=True, image_size=16, classifier=str(tmp_path / "c.safetensors"))
    config = configure(method="evp", head="direct", backbone=spec, limit=10, epochs=1, val="none")
    run = train(config, tmp_path / "run", accelerator="cpu")
    features = torch.randn(5, 128, dtype=torch.float64)
    head = run.model.head.double()
    expected = 100 * F.cosine_similarity(features[:, None], rows(10).double()[None], dim=-1)
    assert_rounding_apart(head(features), expected, 100 * gamma(140, U32))  # rows of norm 1, in float32
    assert not layer.weight.requires_grad
    assert not run.model.head.state_dict()  # a run does not store it


def test_a_plain_classifier_is_a_layer(tmp_path: Path) -> None:
    weight, bias = rows(4, 6), torch.arange(4.0)
    features = torch.randn(3, 6)
    with_bias = read_classifier(saved(tmp_path / "a.safetensors", weight=weight, bias=bias))
    assert torch.equal(with_bias(features), F.linear(features, weight, bias))
    without = read_classifier(saved(tmp_path / "b.safetensors", weight=weight))
    assert torch.equal(without(features), F.linear(features, weight, torch.zeros(4)))


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"text": torch.ones(2, 3)}, "text"),
        ({"weight": torch.ones(3)}, "shape"),
        ({"weight": torch.ones(2, 3), "bias": torch.ones(3)}, "bias"),
        ({"weight": torch.ones(2, 3), "bias": torch.ones(2), "scale": torch.ones(1)}, "bias"),
        ({"weight": torch.ones(2, 3), "scale": torch.zeros(1)}, "scale"),
        ({"weight": torch.ones(2, 3), "scale": torch.ones(2)}, "scale"),
        ({"weight": torch.full((2, 3), torch.nan)}, "finite"),
    ],
)
def test_other_files_are_one_line(tensors: dict[str, Tensor], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match=says):
        read_classifier(saved(tmp_path / "c.safetensors", **tensors))


def test_a_file_that_is_not_there_is_called_a_classifier(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match=r"^there is no classifier at .*none.safetensors"):
        read_classifier(tmp_path / "none.safetensors")


def test_a_classifier_of_other_features_or_classes_is_one_line(tmp_path: Path) -> None:
    for weight, head in ((rows(10, 7), "direct"), (rows(9), "direct")):
        spec = BackboneSpec(
            random=True, image_size=16, classifier=str(saved(tmp_path / "c.safetensors", weight=weight))
        )
        with pytest.raises(BadSetting):
            train(configure(method="evp", head=head, backbone=spec, limit=10, epochs=1), tmp_path / "run")


def test_a_run_whose_classifier_changed_is_one_line(tmp_path: Path) -> None:
    file = saved(tmp_path / "c.safetensors", weight=rows(20))
    spec = BackboneSpec(random=True, image_size=16, classifier=str(file))
    config = configure(method="evp", head="sequential", backbone=spec, limit=10, epochs=1)
    run = train(config, tmp_path / "run", accelerator="cpu")
    assert len(set(run.model.head.index.flatten().tolist())) == 10  # type: ignore[operator]
    saved(file, weight=rows(20) + 1)
    with pytest.raises(BadCheckpoint, match="classifier"):
        Run.load(tmp_path / "run")


@pytest.fixture(scope="module")
def clip() -> str:
    """An image-text model of timm that is small beside the others, at its own 512 dimensions."""
    name = "vit_medium_patch32_clip_224.tinyclip_laion400m"
    assert name in timm.list_pretrained("vit_medium_patch32_clip_224.*")
    return name


def test_the_projection_goes_in_front_of_the_head(clip: str, tmp_path: Path) -> None:
    file = saved(tmp_path / "c.safetensors", weight=rows(3, 512), scale=torch.tensor(100.0))
    spec = BackboneSpec(clip, image_size=32, random=True, features="projection", classifier=str(file))
    model = build(configure(method="lor-vp", head="direct", backbone=spec, classes=("a", "b", "c"))).eval()
    assert isinstance(model.head, Projected)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        embedded = F.normalize(load_projection(spec)(model.features(images)), dim=-1)
        expected = 100 * embedded @ F.normalize(rows(3, 512), dim=-1).T
        # 100 times the product of two vectors of norm 1, both rounded in float32
        assert_rounding_apart(model(images), expected, 200 * gamma(3 * 512, U32))
        inputs, baked = model.inputs(images), deployed(model)
        assert_rounding_apart(baked(inputs), model(images), rounding(model, images), rounding(baked, inputs))


def test_what_has_no_projection_says_so() -> None:
    for name in ("embedded", "resnet18"):
        spec = BackboneSpec(name, random=True, features="projection")
        with pytest.raises(Unsupported, match="projection"):
            build(configure(method="linear", backbone=spec, classes=("a", "b")))
    with pytest.raises(BadSetting, match="projection"):
        build(configure(method="linear", backbone=BackboneSpec(random=True, features="tokens"), classes=("a", "b")))
