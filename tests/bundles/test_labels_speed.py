"""The speed of labelling many images: near what ONNX Runtime alone reaches on images that are read before."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import neuroprompt as npt
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.image_files import read_batch
from neuroprompt.bundles.predict import BATCH, MODEL
from neuroprompt.bundles.results import Labels
from neuroprompt.contracts.deployment import Exporter, ImageTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.training.assemble import build
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_folder import Run

THREADS = 2
IMAGES = 600
ROUNDS = 6
SHARE = 0.9


@pytest.mark.slow
def test_reading_costs_little_beside_the_model(tmp_path: Path) -> None:
    """The embedded backbone, both with THREADS threads and batches of BATCH.

    The best of ROUNDS rounds of each, in turn: what else the machine does makes a round slower, never faster.
    """
    config = RunConfig(method="linear", backbone=BackboneSpec(random=True), classes=tuple("0123456789"))
    run = Run(tmp_path, config, build(config).eval(), TrainingMetrics())
    bundle = Bundle.open(Exporter.named("onnx").export(run, tmp_path / "onnx").out)
    rng = np.random.default_rng(0)
    files = [tmp_path / "images" / f"{i}.png" for i in range(IMAGES)]
    files[0].parent.mkdir()
    for file in files:
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).resize((64, 64)).save(file)
    images, _ = read_batch(files, bundle.about["preprocess"])
    runtime = ImageTarget.named("onnxruntime", threads=THREADS)
    runtime.logits(bundle.folder / MODEL, images[:BATCH])

    alone, ours = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for start in range(0, IMAGES, BATCH):
            runtime.logits(bundle.folder / MODEL, images[start : start + BATCH])
        alone.append(IMAGES / (time.perf_counter() - started))
        labels = npt.run(bundle, [files[0].parent], out=tmp_path / "labels.csv", threads=THREADS)
        assert isinstance(labels, Labels)
        ours.append(labels.images_per_second)
    assert max(ours) > SHARE * max(alone)
