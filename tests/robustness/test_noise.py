"""Noises: what each does to an image, that it is repeatable, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from float_bounds import U32, gamma, near, of_share, of_std
from PIL import Image

from neuroprompt.errors import BadSetting
from neuroprompt.robustness.corruptions import PARAMETERS, corrupt
from neuroprompt.robustness.noise import LEVELS, Noise, parse_noises

GREY = torch.full((3, 64, 64), 0.5)


@pytest.mark.parametrize("noise", parse_noises(["all"]), ids=str)
def test_every_noise_is_seeded_in_range_and_not_nothing(noise: Noise) -> None:
    image = torch.rand(3, 24, 40)
    noisy = noise(image, seed=3)
    assert noisy.shape == image.shape
    assert noisy.dtype == torch.float32
    # A blur's weights add up to 1 but for their rounding, 47 x 47 of them at most.
    assert 0 <= float(noisy.min()) <= float(noisy.max()) <= 1 + gamma(47 * 47 + 64, U32)
    assert torch.equal(noisy, noise(image, seed=3))
    assert not torch.equal(noisy, image)
    assert Noise.parse(str(noise)) == noise
    drawn = noise.kind in ("gaussian", "salt-pepper")
    assert torch.equal(noisy, noise(image, seed=4)) != drawn


def test_noise_leaves_torchs_own_generator_alone() -> None:
    before = torch.random.get_rng_state()
    Noise("gaussian", 0.1)(GREY, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_gaussian_has_its_standard_deviation() -> None:
    deviation = float((Noise("gaussian", 0.05)(GREY, 0) - GREY).std())
    assert abs(deviation - 0.05) <= of_std(0.05, GREY.numel())


def test_salt_and_pepper_hits_its_share_of_pixels_in_all_channels() -> None:
    noisy = Noise("salt-pepper", 0.1)(GREY.repeat(1, 4, 4), 0)
    for value in (0, 1):
        assert abs(float((noisy[0] == value).double().mean()) - 0.05) <= of_share(0.05, noisy[0].numel())
    assert torch.equal(noisy[0], noisy[1])
    assert torch.equal(noisy[0], noisy[2])


def test_blur_spreads_a_point_as_a_gaussian() -> None:
    point = torch.zeros(3, 65, 65)
    point[:, 32, 32] = 1
    spread = Noise("blur", 2)(point, 0)[0].double()
    across = torch.arange(65, dtype=torch.float64) - 32
    expected = torch.exp(-(across**2) / 8) * (across.abs() <= 6)
    # Each value is a product of two weights, each an exponential over a sum of 13: at most 64 roundings in float32.
    assert float(spread.sum()) == near(1, 64, U32)
    assert spread.sum(0).tolist() == near((expected / expected.sum()).tolist(), 64, U32)


def test_a_blur_wider_than_the_image_still_runs() -> None:
    assert Noise("blur", 50)(torch.rand(3, 8, 8), 0).isfinite().all()


def test_jpeg_is_pillows() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=25)
    expected = np.asarray(Image.open(file))
    noisy = Noise("jpeg", 25)(torch.from_numpy(pixels).permute(2, 0, 1) / 255, 0)
    assert np.array_equal((noisy * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(), expected)


def test_a_corruption_is_a_noise_with_a_severity() -> None:
    image = torch.rand(3, 40, 40)
    noise = Noise.parse("motion_blur:3")
    assert str(noise) == "motion_blur:3"
    assert torch.equal(noise(image, seed=5), corrupt(image, "motion_blur", 3, 5))


def test_imagenet_c_is_every_corruption_at_every_severity_once() -> None:
    every = parse_noises(["fog:2", "imagenet-c"])
    assert len(every) == 75
    assert str(every[0]) == "fog:2"
    assert {str(noise) for noise in every} == {f"{kind}:{s}" for kind in PARAMETERS for s in range(1, 6)}


def test_all_is_every_level_once() -> None:
    every = parse_noises(["gaussian:0.1", "all"])
    assert len(every) == sum(len(levels) for levels in LEVELS.values()) == 12
    assert str(every[0]) == "gaussian:0.1"


@pytest.mark.parametrize(
    "name",
    [
        "gauss:0.1",
        "gaussian",
        "gaussian:x",
        "gaussian:-1",
        "salt-pepper:1.5",
        "jpeg:0",
        "jpeg:2.5",
        "blur:nan",
        "fog:0",
        "fog:6",
        "fog:1.5",
        "fog",
        "foggy:1",
    ],
)
def test_wrong_noises(name: str) -> None:
    with pytest.raises(BadSetting):
        Noise.parse(name)


def test_an_unknown_noise_names_all_there_are() -> None:
    with pytest.raises(BadSetting, match=r"'foggy'.*imagenet-c.*gaussian:SIGMA.*motion_blur"):
        Noise.parse("foggy:1")
