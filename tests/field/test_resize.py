"""Images are resized and cut as timm evaluates its models, in training, in deployment and in the snippet of a card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data.transforms_factory import create_transform

from neuroprompt.bundles.image_files import read_image
from neuroprompt.contracts.specs import BackboneSpec, Preprocess
from neuroprompt.errors import BadSetting
from neuroprompt.images import pixels
from neuroprompt.training.assemble import load_backbone_of
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import load_data


def random_image(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from([8, 32, 56]),
    st.sampled_from([0.5, 0.875, 0.9, 0.95, 1.0]),
    st.sampled_from(["center", "squash"]),
    st.sampled_from(["bicubic", "bilinear"]),
)
@settings(max_examples=300)
def test_it_is_timms_own_transform(
    image_size: tuple[int, int], side: int, crop_pct: float, crop_mode: str, interpolation: str
) -> None:
    image = random_image(*image_size)
    transform = create_transform(
        (3, side, side), crop_pct=crop_pct, crop_mode=crop_mode, interpolation=interpolation, use_prefetcher=True
    )
    theirs = transform(image)
    ours = pixels(image, (side, side), interpolation, crop_pct, crop_mode)
    assert np.array_equal(ours.transpose(2, 0, 1), np.asarray(theirs))


@pytest.mark.timeout(60)
def test_a_strip_is_cut_without_becoming_a_giant(monkeypatch: pytest.MonkeyPatch) -> None:
    strip = Image.new("RGB", (20_000, 1), (1, 2, 3))
    assert pixels(strip, (224, 224), "bicubic", 0.875)[5, 5].tolist() == [1, 2, 3]
    image = random_image(300, 40)
    plain = pixels(image, (32, 32), "bicubic", 0.875).astype(int)
    monkeypatch.setattr("neuroprompt.images.MOST_PIXELS", 0)
    # The same sums in another order: rounding to 8 bits may differ by one.
    assert np.abs(pixels(image, (32, 32), "bicubic", 0.875) - plain).max() <= 1


def test_without_a_crop_it_is_stretched() -> None:
    image = random_image(31, 17)
    expected = np.asarray(image.resize((12, 8), Image.Resampling.BICUBIC))
    assert np.array_equal(pixels(image, (8, 12), "bicubic"), expected)


def test_what_cannot_be_done_is_one_line() -> None:
    with pytest.raises(BadSetting, match=r"crop mode 'border'.*--resize plain"):
        pixels(random_image(8, 8), (8, 8), "bicubic", 1.0, "border")
    with pytest.raises(BadSetting, match="interpolation 'random'"):
        pixels(random_image(8, 8), (8, 8), "random")
    with pytest.raises(BadSetting, match="resize 'crop'"):
        RunConfig(resize="crop")


def test_a_backbone_brings_its_own_and_plain_is_stretched() -> None:
    spec = BackboneSpec("resnet18.a1_in1k", image_size=64, random=True)
    theirs = load_backbone_of(RunConfig(backbone=spec)).preprocess
    assert (theirs.size, theirs.crop_pct, theirs.crop_mode) == ((64, 64), 0.95, "center")
    assert load_backbone_of(RunConfig(backbone=spec, resize="plain")).preprocess.crop_pct is None
    assert load_backbone_of(RunConfig()).preprocess.crop_pct is None


def test_training_and_deployment_cut_alike(tmp_path: Path) -> None:
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        for i in range(5):
            random_image(40, 30 + i).save(tmp_path / label / f"{i}.png")
    preprocess = Preprocess((16, 16), crop_pct=0.8)
    data = load_data(f"folder:{tmp_path}", preprocess, 0)
    trained = {tuple(image.flatten().tolist()) for image, _ in (data.test[i] for i in range(2))}
    files = sorted(tmp_path.rglob("*.png"))
    deployed = [torch.from_numpy(read_image(file, asdict(preprocess))) for file in files]
    assert trained <= {tuple((image * 255).round().to(torch.uint8).flatten().tolist()) for image in deployed}
