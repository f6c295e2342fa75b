"""The corruptions of ImageNet-C: in range, repeatable, stronger with severity, and each what the paper says."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from float_bounds import U32, gamma, near, of_mean, of_share, of_std
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from neuroprompt.robustness import distortions, weather
from neuroprompt.robustness.corruptions import PARAMETERS, SEVERITIES, WEATHER, corrupt

PUBLISHED = [
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
]
Array = NDArray[np.float64]


def an_image(height: int, width: int | None = None) -> Tensor:
    """Smooth colours with edges and some texture, as a photograph has them."""
    generator = np.random.default_rng(0)
    noise = generator.random((3, height, width or height))
    smooth = ndimage.gaussian_filter(noise, (0, height / 12, height / 12), mode="wrap")
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    edges = np.where(ndimage.gaussian_filter(noise[0], height / 20) > 0.5, 0.25, -0.1)
    return torch.from_numpy(np.clip(0.7 * smooth + edges + 0.05 * noise, 0, 1)).float()


@pytest.fixture(scope="module")
def images() -> dict[int, Tensor]:
    return {side: an_image(side) for side in (224, 64, 32)}


def test_all_fifteen_have_five_levels_for_three_sizes() -> None:
    assert list(PARAMETERS) == PUBLISHED
    for tables in PARAMETERS.values():
        assert list(tables) == [224, 64, 32]
        assert all(len(levels) == 5 for levels in tables.values())
    for kind in PUBLISHED:
        assert hasattr(weather if kind in WEATHER else distortions, kind)


@pytest.mark.parametrize("side", [224, 64, 32])
@pytest.mark.parametrize("kind", PUBLISHED)
def test_every_severity_is_seeded_in_range_and_not_nothing(kind: str, side: int, images: dict[int, Tensor]) -> None:
    image = images[side]
    before = image.clone()
    apart = []
    for severity in SEVERITIES:
        changed = corrupt(image, kind, severity, seed=3)
        assert changed.shape == image.shape
        assert changed.dtype == torch.float32
        assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
        apart.append(float((changed - image).square().mean()))
    assert torch.equal(image, before)
    assert min(apart) > 1e-5
    # The released elastic_transform displaces most at severity 1 and bends most at 5: see its own test.
    assert apart[4] > apart[0] or kind == "elastic_transform"
    small = torch.equal(corrupt(image, kind, 1, seed=3), corrupt(image, kind, 1, seed=3))
    assert small, "the same seed gives the same image"
    drawn = kind not in ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")
    assert torch.equal(corrupt(image, kind, 1, seed=3), corrupt(image, kind, 1, seed=4)) != drawn


@pytest.mark.parametrize("kind", PUBLISHED)
@pytest.mark.parametrize("shape", [(24, 40), (150, 130), (8, 8), (1, 1)])
def test_any_shape_and_black_and_white(kind: str, shape: tuple[int, int]) -> None:
    for image in (torch.zeros(3, *shape), torch.ones(3, *shape), torch.rand(3, *shape)):
        for severity in (1, 5):
            changed = corrupt(image, kind, severity, seed=0)
            assert changed.shape == image.shape
            assert changed.isfinite().all()


def test_the_nearest_table_by_ratio_is_taken() -> None:
    for side, level in ((32, 0.75), (45, 0.75), (46, 0.4), (64, 0.4)):
        image = an_image(side)
        middle = image.double().mean((1, 2), keepdim=True)
        expected = ((image.double() - middle) * level + middle).clamp(0, 1).float()
        assert float((corrupt(image, "contrast", 1, 0) - expected).abs().max()) <= 2 * U32  # neighbours in float32
    grey = torch.full((3, 119, 200), 0.5)
    assert abs(float((corrupt(grey, "gaussian_noise", 1, 0) - grey).std()) - 0.04) <= of_std(0.04, grey.numel())
    grey = torch.full((3, 120, 200), 0.5)
    assert abs(float((corrupt(grey, "gaussian_noise", 1, 0) - grey).std()) - 0.08) <= of_std(0.08, grey.numel())


def test_shot_noise_is_poissons() -> None:
    grey = torch.full((3, 224, 224), 0.3)
    noisy = corrupt(grey, "shot_noise", 2, 0)
    deviation = (0.3 / 25) ** 0.5
    assert abs(float(noisy.mean()) - 0.3) <= of_mean(deviation, noisy.numel())
    assert abs(float(noisy.std()) - deviation) <= of_std(deviation, noisy.numel(), kurtosis=3 + 1 / 7.5)


def test_impulse_noise_hits_its_share_of_values_each_channel_alone() -> None:
    noisy = corrupt(torch.full((3, 224, 224), 0.5), "impulse_noise", 5, 0)
    for value in (0, 1):
        assert abs(float((noisy == value).double().mean()) - 0.135) <= of_share(0.135, noisy.numel())
    assert not torch.equal(noisy[0], noisy[1])


def point(side: int = 65) -> Array:
    image = np.zeros((side, side, 3))
    image[side // 2, side // 2] = 1
    return image


def test_defocus_spreads_a_point_over_a_disk() -> None:
    spread = distortions.defocus_blur(point(), np.random.default_rng(0), (6, 0.5))[..., 0]
    # A convolution by three Fourier transforms of at most 128 x 128: each errs by 7 log2(n) u of the norm (Higham,
    # Theorem 24.2), and the norms of a point and of a disk that sums to 1 are at most 1.
    limit = 3 * gamma(7 * 14)
    assert abs(spread.sum() - 1) <= spread.size * limit
    y, x = np.indices(spread.shape) - 32
    r = np.hypot(x, y)
    assert np.ptp(spread[r <= 4]) <= 2 * limit
    # Whole pixels in a circle: their number differs from its area by at most 2 sqrt(2) pi r (Gauss), here by 4 %.
    assert abs(spread[r <= 4].mean() * np.pi * 36 - 1) <= 0.05
    assert abs(spread[r > 8]).max() <= limit


def test_motion_blur_spreads_a_point_along_a_half_line() -> None:
    for angle in (0, 30, -90):
        spread = distortions.along(point(), 10, 3, angle)[..., 0]
        y, x = np.nonzero(spread)
        found = np.degrees(np.arctan2(-(y - 32).sum(), -(x - 32).sum()))
        assert spread.sum() == near(1, 64)
        assert abs(found - angle) <= 2  # degrees; every step is rounded to a pixel
        if angle % 90 == 0:  # no two steps in one pixel
            taps = np.exp(-(np.arange(21) ** 2) / 18)
            assert np.sort(spread[y, x])[::-1].tolist() == near((taps / taps.sum()).tolist(), 64)


@pytest.mark.parametrize("factor", [1.0, 1.01, 1.15, 1.3, 2.25, 4.5])
def test_zoom_is_scipys(factor: float) -> None:
    image = np.random.default_rng(0).random((50, 37, 3))
    crops = [int(np.ceil(side / factor)) for side in (50, 37)]
    top, left = (50 - crops[0]) // 2, (37 - crops[1]) // 2
    large = ndimage.zoom(image[top : top + crops[0], left : left + crops[1]], (factor, factor, 1), order=1)
    top, left = (large.shape[0] - 50) // 2, (large.shape[1] - 37) // 2
    expected = large[top : top + 50, left : left + 37]
    # Places of up to 50 pixels are rounded a few times on either side; values and their differences are at most 1.
    assert np.abs(distortions.zoomed(image, factor) - expected).max() <= 2 * gamma(8) * 50


@pytest.mark.parametrize(("far", "passes"), [(1, 2), (3, 1)])
def test_glass_is_the_releases_loop(far: int, passes: int) -> None:
    image = np.random.default_rng(0).random((20, 30, 3))
    expected, draw = image.copy(), np.random.default_rng(1)
    for _ in range(passes):
        offsets = draw.integers(-far, far, (20, 30, 2))
        for h in range(20 - far, far, -1):
            for w in range(30 - far, far, -1):
                dy, dx = offsets[h - 1, w - 1]
                a, b = (h, w), (h + dy, w + dx)
                expected[a], expected[b] = expected[b], expected[a]
    moved = distortions.glass_blur(image, np.random.default_rng(1), (0.01, far, passes))
    assert np.array_equal(moved, expected)
    assert not np.array_equal(moved, image)


def test_brightness_keeps_hue_and_saturation() -> None:
    image = torch.rand(3, 224, 224)
    bright = corrupt(image, "brightness", 3, 0)
    assert float((bright.amax(0) - (image.amax(0) + 0.3).clamp(max=1)).abs().max()) <= gamma(4, U32)
    shares = bright / bright.amax(0), image / image.amax(0)  # of 1 at most: quotients of numbers that were rounded
    assert float((shares[0] - shares[1]).abs().max()) <= 2 * gamma(3, U32)


def test_fog_is_brightest_where_the_fractal_is() -> None:
    image = torch.full((3, 224, 224), 0.5)
    foggy = corrupt(image, "fog", 5, 0)
    mist = weather.plasma((224, 224), np.random.default_rng(0), 1.4)
    expected = np.clip((0.5 + 3 * mist) * 0.5 / 3.5, 0, 1)
    assert np.abs(foggy[1].numpy() - expected).max() <= 2 * U32
    assert mist.std() > 0.05


def test_a_slower_decay_makes_a_rougher_fractal() -> None:
    rough, smooth = (weather.plasma((128, 128), np.random.default_rng(0), decay) for decay in (1.4, 3.0))
    assert np.diff(rough).std() > 2 * np.diff(smooth).std()
    for heights in (rough, smooth):
        assert 0 <= heights.min() <= heights.max() <= 1


def test_snow_whitens_and_frost_is_an_icy_film() -> None:
    dark = torch.full((3, 224, 224), 0.2)
    assert float(corrupt(dark, "snow", 5, 0).mean()) > 0.4
    icy = corrupt(dark, "frost", 5, 0)
    ice = (icy - 0.6 * dark) / 0.75
    assert float(ice[2].mean()) > float(ice[0].mean()) > 0.15
    assert float(ice.std()) > 0.08


def test_elastic_severity_bends_more() -> None:
    # Of a ramp that says where each pixel came from; what no affine map explains is bending.
    y, x = np.indices((224, 224)) / 223.0
    ramp = np.stack([y, x, y], axis=2)
    inner = (slice(50, 174), slice(50, 174))
    places = np.column_stack([y[inner].ravel(), x[inner].ravel(), np.ones(124 * 124)])
    bends = []
    for level in PARAMETERS["elastic_transform"][224]:
        came = distortions.elastic_transform(ramp, np.random.default_rng(1), level)[inner][..., :2].reshape(-1, 2)
        fitted = places @ np.linalg.lstsq(places, came, rcond=None)[0]
        bends.append(float((came - fitted).std()) * 223)
    assert bends[0] < 0.5
    assert bends[2] < bends[3] < bends[4]
    assert 1 < bends[4] < 4


def test_an_elastic_map_without_jitter_or_strength_is_nothing() -> None:
    image = an_image(64).permute(1, 2, 0).double().numpy()
    same = distortions.elastic_transform(image, np.random.default_rng(0), (0, 0.1, 0))
    # The map is solved for from three points (middle 32, third 21): its places err by the condition of their system
    # times the roundings of an elimination (Higham, Theorem 9.4); neighbouring pixels differ by at most 1.
    condition = np.linalg.cond([[53, 53, 1], [11, 53, 1], [11, 11, 1]])
    assert np.abs(same - image).max() <= gamma(64) * condition * 64


@pytest.mark.parametrize(("kind", "apply"), [("jpeg_compression", "jpeg"), ("pixelate", "boxes")])
def test_the_digital_ones_are_pillows(kind: str, apply: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    shown = Image.fromarray(pixels)
    make: dict[str, Callable[[], Any]] = {"jpeg": lambda: _jpeg(shown, 25), "boxes": lambda: _boxes(shown, 32)}
    changed = corrupt(torch.from_numpy(pixels).permute(2, 0, 1) / 255, kind, 5, 0)
    got = (changed * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(got, np.asarray(make[apply]()))


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def _boxes(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)


def test_numpys_and_torchs_own_generators_are_left_alone() -> None:
    legacy: Any = np.random.get_state
    before, theirs = torch.random.get_rng_state(), legacy()[1].copy()
    for kind in PUBLISHED:
        corrupt(an_image(32), kind, 2, 0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(legacy()[1], theirs)
