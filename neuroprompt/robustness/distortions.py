"""Noise, blur and digital corruptions of ImageNet-C as functions of an image, a random generator and a level.

Images are float64 (H, W, 3) in [0, 1]; what leaves that range is clipped by `corruptions.corrupt`, where the levels and
the paper stand. Borders, filters and quirks are those of the authors' release, said where they are not obvious.
"""

from __future__ import annotations

import io
import math

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float64]
Draw = np.random.Generator
BOX = PIL.Image.Resampling.BOX


def gaussian_noise(x: Image, draw: Draw, sigma: float) -> Image:
    """x + sigma n, n ~ N(0, 1)."""
    return x + sigma * draw.standard_normal(x.shape)


def shot_noise(x: Image, draw: Draw, photons: float) -> Image:
    """Poisson(photons x) / photons."""
    return draw.poisson(x * photons) / photons


def impulse_noise(x: Image, draw: Draw, share: float) -> Image:
    """Each value of each channel with probability `share` becomes 0 or 1."""
    hit, white = draw.random(x.shape) < share, draw.random(x.shape) < 0.5
    return np.where(hit, white, x)


def defocus_blur(x: Image, draw: Draw, level: tuple[float, float]) -> Image:
    """Convolution with a disk of `radius` pixels, its edge smoothed by a Gaussian."""
    radius, alias = level
    reach, smooth = (8, 1) if radius <= 8 else (int(radius), 2)
    across = np.arange(-reach, reach + 1)
    disk = (across[:, None] ** 2 + across**2 <= radius**2).astype(float)
    taps = np.exp(-(np.arange(-smooth, smooth + 1) ** 2) / (2 * alias**2))
    for axis in (0, 1):
        disk = ndimage.correlate1d(disk / disk.sum(), taps / taps.sum(), axis=axis, mode="mirror")
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    from scipy.signal import fftconvolve  # with half of SciPy, which a training does not need

    return np.asarray(fftconvolve(padded, disk[..., None], mode="valid", axes=(0, 1)))


def glass_blur(x: Image, draw: Draw, level: tuple[float, int, int]) -> Image:
    """A Gaussian blur, pixels that each take the value of one up to `far` pixels off, and the blur again.

    The release means to swap two pixels, but numpy's views make it a copy; it is a copy here too.
    """
    sigma, far, passes = level
    height, width = x.shape[:2]
    blurred = ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="nearest")
    source = list(range(height * width))
    for _ in range(passes):
        offsets = draw.integers(-far, far, (height, width, 2))
        moves = (offsets[..., 0] * width + offsets[..., 1]).tolist()
        for h in range(height - far, far, -1):
            row, move = h * width, moves[h - 1]
            for w in range(width - far, far, -1):
                source[row + w] = source[row + w + move[w - 1]]
    shuffled = blurred.reshape(-1, 3)[source].reshape(x.shape)
    return np.asarray(ndimage.gaussian_filter(shuffled, (sigma, sigma, 0), mode="nearest"))


def motion_blur(x: Image, draw: Draw, level: tuple[float, float]) -> Image:
    """A half Gaussian along a line of an angle in (-45, 45) degrees, as ImageMagick's motion blur makes it."""
    return along(x, *level, angle=draw.uniform(-45, 45))


def along(x: Image, radius: float, sigma: float, angle: float) -> Image:
    """The image (H, W, ...) blurred along `angle` (degrees): sum over i of g_i x(shifted by i), borders repeated."""
    width = 2 * math.ceil(radius) + 1
    taps = np.exp(-(np.arange(width) ** 2) / (2 * sigma**2))
    down, right = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    rows, columns = np.arange(x.shape[0]), np.arange(x.shape[1])
    blurred = np.zeros_like(x)
    for i, tap in enumerate(taps / taps.sum()):
        dy, dx = math.ceil(i * down - 0.5), math.ceil(i * right - 0.5)
        shifted = x.take(rows + dy, axis=0, mode="clip").take(columns + dx, axis=1, mode="clip")
        blurred += tap * shifted
    return blurred


def zoom_blur(x: Image, draw: Draw, level: tuple[float, float]) -> Image:
    """The mean of the image and of its zooms by every factor from 1 to the level's end."""
    end, step = level
    factors = np.arange(1, end, step)
    return np.asarray((x + sum(zoomed(x, factor) for factor in factors)) / (len(factors) + 1))


def zoomed(x: Image, factor: float) -> Image:
    """The middle of the image (H, W, ...), enlarged to its size, bilinearly; scipy.ndimage.zoom, but quicker."""
    for axis in (0, 1):
        side = x.shape[axis]
        crop = math.ceil(side / factor)
        large = round(crop * factor)
        first = (large - side) // 2
        where = np.linspace(0, crop - 1, large)[first : first + side]
        low = np.minimum(where.astype(int), max(crop - 2, 0))
        part = (where - low).reshape((-1,) + (1,) * (x.ndim - axis - 1))
        low += (side - crop) // 2
        x = np.asarray(x.take(low, axis) * (1 - part) + x.take(low + 1, axis, mode="clip") * part)
    return x


def brightness(x: Image, draw: Draw, more: float) -> Image:
    """V of HSV becomes min(V + more, 1), at the same hue and saturation."""
    value = x.max(axis=2, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return np.asarray(np.where(value > 0, x * (brighter / np.where(value > 0, value, 1)), brighter))


def contrast(x: Image, draw: Draw, left: float) -> Image:
    """(x - mean) left + mean, with the mean of each channel."""
    mean = x.mean(axis=(0, 1))
    return np.asarray((x - mean) * left + mean)


def elastic_transform(x: Image, draw: Draw, level: tuple[float, float, float]) -> Image:
    """An affine map that moves three points by up to `jitter`, then a smooth field of shifts; lengths in sides."""
    height, width = x.shape[:2]
    strength, sigma, jitter = (share * min(height, width) for share in level)
    middle, third = np.array([height // 2, width // 2]), min(height, width) // 3
    before = middle + third * np.array([[1, 1], [-1, 1], [-1, -1]])
    after = before + draw.uniform(-jitter, jitter, (3, 2))
    # A pixel of the result at q is read at M q + t, where M takes the moved points back.
    back = np.linalg.solve(np.column_stack([after, np.ones(3)]), before)
    channels = np.moveaxis(x, 2, 0)
    warped = [ndimage.affine_transform(c, back[:2].T, back[2], order=1, mode="mirror") for c in channels]
    fields = [
        ndimage.gaussian_filter(draw.uniform(-1, 1, (height, width)), sigma, mode="reflect", truncate=3) * strength
        for _ in range(2)
    ]
    where = [at + field for at, field in zip(np.indices((height, width)), fields, strict=True)]
    return np.stack([ndimage.map_coordinates(c, where, order=1, mode="reflect") for c in warped], axis=2)


def pixelate(x: Image, draw: Draw, share: float) -> Image:
    """Resized to `share` of its sides and back, by boxes."""
    height, width = x.shape[:2]
    image = _image(x)
    small = image.resize((max(1, int(width * share)), max(1, int(height * share))), BOX)
    return np.asarray(small.resize((width, height), BOX)) / 255


def jpeg_compression(x: Image, draw: Draw, quality: int) -> Image:
    """`as_jpeg`, as one of the corruptions."""
    return as_jpeg(x, quality)


def as_jpeg(x: Image, quality: int) -> Image:
    """Pillow's JPEG of that quality, there and back."""
    file = io.BytesIO()
    _image(x).save(file, "JPEG", quality=quality)
    return np.asarray(PIL.Image.open(file)) / 255


def _image(x: Image) -> PIL.Image.Image:
    return PIL.Image.fromarray((x * 255).round().astype(np.uint8))
