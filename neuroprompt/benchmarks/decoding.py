"""Times the decoding of training images by threads or by worker processes, which has to keep up with the steps."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from neuroprompt.contracts.learning import Preprocess
from neuroprompt.errors import BadSetting
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import load_data, size_of
from neuroprompt.training.feed import Feed

SIZE = (500, 375)
"""Width and height of the files: the usual ones of ImageNet's photographs."""
AUGMENT = "resized-crop+flip"
"""As recipes have it. An augmented image is decoded in every epoch; plain ones of so small a set stay in memory."""


@dataclass(frozen=True)
class Decoding:
    """How long a feed takes to its first batch, in which its processes start, and its images a second after that."""

    first_seconds: float
    images_per_second: float


def bench_decoding(
    preprocess: Preprocess, workers: Sequence[int], *, batch: int, images: int = 128, progress: Progress = SILENT
) -> dict[str, Decoding]:
    """From JPEG files of SIZE to augmented batches, by the number of workers ("0", ...).

    The files are smooth noise of quality 90: at least `images`, and two batches for each worker. Each feed gives one
    epoch in which its processes start, and one whose images a second are timed. 0: threads of this process, as in
    `train`. Raises BadSetting.
    """
    if any(count < 0 for count in workers):
        raise BadSetting(f"workers {min(workers)}", "at least 0")
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), max(images, 2 * batch * max(workers, default=0)), images)
        files = load_data(f"folder:{folder}", preprocess, 0, val="none").train
        indices = list(range(size_of(files)))
        rows = [indices[i : i + batch] for i in range(0, len(indices), batch)]
        timed = {}
        for count in dict.fromkeys(workers):
            mine = rows[: max(2 * count, 8, -(-images // batch))]  # few workers need not decode what many need
            progress.say(f"decoding {2 * sum(map(len, mine)):,} images with {count} workers")
            timed[str(count)] = _timed(Feed(files, RunConfig(augment=AUGMENT), count), mine)
        return timed


def _timed(feed: Feed, rows: Sequence[Sequence[int]]) -> Decoding:
    """The first batch, and the whole of the second epoch."""
    try:
        began = time.perf_counter()
        untimed = feed.batches(0, rows)
        next(untimed)
        first = time.perf_counter() - began
        for _ in untimed:
            pass
        began = time.perf_counter()
        for _ in feed.batches(1, rows):
            pass
        return Decoding(first, sum(map(len, rows)) / (time.perf_counter() - began))
    finally:
        feed.close()


def _write(folder: Path, images: int, different: int) -> None:
    """So many training files of two classes, of which `different` differ, and a test file of each class."""
    generator = np.random.default_rng(0)
    encoded: list[bytes] = []
    for i in range(images + 2):
        if len(encoded) < different:
            small = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8))
            file = io.BytesIO()
            small.resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
            encoded.append(file.getvalue())
        place = folder / ("train" if i < images else "test") / f"class{i % 2}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.jpg").write_bytes(encoded[i % different])
