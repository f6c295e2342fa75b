"""LSPT from training to a prediction by the exported file, its memory in the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from net_bounds import rounding
from PIL import Image
from torch import nn

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.predict import predict
from neuroprompt.bundles.results import Prediction
from neuroprompt.contracts.deployment import Exporter
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.onnxgraph.file import operators
from neuroprompt.onnxgraph.parity import TOLERANCE
from neuroprompt.training.backbone import EMBEDDED
from neuroprompt.training.config import configure
from neuroprompt.training.dataset import load_data
from neuroprompt.training.loop import train
from neuroprompt.training.run_folder import Run


@pytest.mark.floats
@pytest.mark.slow
@pytest.mark.parametrize("memory", ["lstm", "lif", "slstm"])
def test_train_export_predict(memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EMBEDDED, "depth", 3)
    backbone = BackboneSpec("embedded", image_size=16, random=True)
    settings = {"tokens": 3, "memory": memory, "lstm_hidden": 16}
    options = {"limit": 30, "epochs": 2, "batch": 8, "lr": 0.01}
    trained = train(configure(method="lspt", backbone=backbone, settings=settings, **options), tmp_path / "run")
    run = Run.load(tmp_path / "run")
    assert float(run.model.prompt.get_parameter("back.weight").detach().abs().max()) > 0
    result = Exporter.named("onnx").export(run, tmp_path / "bundle")
    assert 0 < result.figures["max_rel_diff"] <= TOLERANCE
    assert result.figures["batches"] == [1, 3, 8]
    assert result.figures["bits_sha256"] is None
    found = operators(tmp_path / "bundle" / "model.onnx")
    assert found["Tanh"] == (0 if memory == "lif" else 2 * 2)  # two tanh a cell, one cell between two blocks: unrolled
    assert found["Greater"] == (0 if memory == "lstm" else 2)
    test = load_data("digits", run.model.preprocess, 0, limit=30).test
    for i in range(5):
        Image.fromarray(np.asarray(test[i][0].permute(1, 2, 0))).save(tmp_path / f"{i}.png")
    rows = predict(Bundle.open(tmp_path / "bundle", "onnx"), [tmp_path / f"{i}.png" for i in range(5)]).images
    images = torch.stack([test[i][0] for i in range(5)]).float() / 255
    with torch.no_grad():
        shares = trained.model(images).softmax(1)
    bound = rounding(nn.Sequential(trained.model, nn.Softmax(1)), images)  # and the file does the same operations
    for row, share in zip(rows, shares, strict=True):
        assert isinstance(row, Prediction)
        assert row.label == run.config.classes[int(share.argmax())]
        assert abs(row.probability - float(share.max())) <= 2 * bound
