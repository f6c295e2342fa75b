"""Where an image stands on a larger canvas: in the middle, what is odd going right and down."""

from __future__ import annotations


def margins(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels left, right, above and below an image (height, width) on a canvas (height, width), as torch pads."""
    (height, width), (tall, wide) = size, canvas
    left, top = (wide - width) // 2, (tall - height) // 2
    return left, wide - width - left, top, tall - height - top
