"""Snow, frost and fog of ImageNet-C as functions of an image, a random generator and a level; see `corruptions`.

Images are float64 (H, W, 3) in [0, 1]. Snow and fog are the authors'; frost is our procedural substitute.
"""

from __future__ import annotations

import numpy as np

from neuroprompt.robustness.distortions import Draw, Image, along, zoomed

ICE = np.array([0.80, 0.90, 1.0])
"""The colour of our frost."""


def snow(x: Image, draw: Draw, level: tuple[float, float, float, float, float, float, float]) -> Image:
    """Flakes (noise, enlarged and cut off at a threshold) blurred along their fall, on a whitened image."""
    mean, sigma, zoom, threshold, radius, blur, share = level
    flakes = zoomed(draw.normal(mean, sigma, x.shape[:2]), zoom)
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    fallen = along(flakes, radius, blur, angle=draw.uniform(-135, -45))
    grey = x @ np.array([0.299, 0.587, 0.114])
    whitened = share * x + (1 - share) * np.maximum(x, grey[..., None] * 1.5 + 0.5)
    return np.asarray(whitened + (fallen + np.rot90(fallen, k=2))[..., None])


def frost(x: Image, draw: Draw, level: tuple[float, float]) -> Image:
    """a x + b F, with the paper's shares a and b and a frost F of our own.

    The paper takes F from six photographs of frosted glass, which we may not ship. Ours is drawn: needles of ice in six
    directions over a rough film, bluish white. It stands in for theirs and is not equal to it, so that figures under
    "frost" are not comparable with published ones.
    """
    height, width = x.shape[:2]
    length = max(2.0, min(height, width) / 8)
    needles = np.zeros((height, width))
    for k in range(6):
        seeds = (draw.random((height, width)) < 0.03) * draw.random((height, width))
        needles = np.maximum(needles, along(seeds, length, length, angle=60 * k + draw.uniform(-10, 10)))
    needles /= max(np.quantile(needles, 0.98), 1e-9)
    film = plasma((height, width), draw, decay=1.5)
    ice = np.clip(0.5 * film + 0.5 * needles, 0, 1)
    return np.asarray(level[0] * x + level[1] * ice[..., None] * ICE)


def fog(x: Image, draw: Draw, level: tuple[float, float]) -> Image:
    """(x + amount fractal) max / (max + amount), with the image's largest value max."""
    amount, decay = level
    largest = x.max()
    mist = plasma(x.shape[:2], draw, decay)[..., None]
    return np.asarray((x + amount * mist) * largest / (largest + amount))


def plasma(shape: tuple[int, ...], draw: Draw, decay: float) -> Image:
    """A height map (H, W) in [0, 1] by the diamond-square algorithm; every halving of the step divides by `decay`."""
    size = 1 << (max(2, *shape) - 1).bit_length()
    heights, step, wibble = np.zeros((size, size)), size, 100.0

    def wibbled(total: Image) -> Image:
        return np.asarray(total / 4 + wibble * draw.uniform(-wibble, wibble, total.shape))

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        total = corners + np.roll(corners, -1, axis=0)
        heights[half::step, half::step] = wibbled(total + np.roll(total, -1, axis=1))
        middles = heights[half::step, half::step]
        across = middles + np.roll(middles, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
        heights[::step, half::step] = wibbled(across)
        down = middles + np.roll(middles, 1, axis=1) + corners + np.roll(corners, -1, axis=0)
        heights[half::step, ::step] = wibbled(down)
        step, wibble = half, wibble / decay
    heights -= heights.min()
    return np.asarray((heights / heights.max())[: shape[0], : shape[1]])
