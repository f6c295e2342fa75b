"""The loop that `bench --bulk` times beside `run` does the same work: its inputs are those of `run`, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neuroprompt.benchmarks.bulk import read_by_hand
from neuroprompt.bundles.image_files import read_image

PREPROCESS: dict[str, Any] = {
    "size": [16, 24],
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "interpolation": "bicubic",
    "canvas": None,
    "exif": True,
}


@pytest.mark.parametrize("more", [{}, {"crop_pct": 0.9, "crop_mode": "center"}, {"canvas": [20, 24]}])
@pytest.mark.parametrize("size", [(24, 16), (31, 40)])
def test_the_loop_reads_an_image_as_run_does(tmp_path: Path, more: dict[str, Any], size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.jpg", quality=90)
    preprocess = PREPROCESS | more
    assert np.array_equal(read_by_hand(tmp_path / "x.jpg", preprocess), read_image(tmp_path / "x.jpg", preprocess))
