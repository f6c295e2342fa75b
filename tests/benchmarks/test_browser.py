"""Timing in a real browser: its numbers are the file's, and a browser or a runtime that is not there is one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from neuroprompt.benchmarks import browser
from neuroprompt.benchmarks.browser import NAMES, in_browser
from neuroprompt.bundles.web_runtime import cached_files
from neuroprompt.errors import RuntimeMissing

IMAGES = np.random.default_rng(0).random((2, 3, 4, 4), dtype=np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A network that gives its pixels back."""
    values = (("x", [None, 3, 4, 4]), ("y", [None, 48]))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values)
    graph = helper.make_graph([helper.make_node("Flatten", ["x"], ["y"])], "pixels", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(tmp_path / "pixels.onnx"))
    return tmp_path / "pixels.onnx"


def test_a_browser_gives_a_files_logits_and_its_own_time_and_names_a_file_that_it_cannot_run(file: Path) -> None:
    if not any(map(shutil.which, NAMES)):
        pytest.skip("no Chromium (apt-get install chromium)")
    try:
        cached_files()
    except RuntimeMissing as error:
        pytest.skip(f"onnxruntime-web is not in the cache: {error}")
    broken = file.with_name("broken.onnx")
    broken.write_bytes(b"no model")
    with in_browser({"pixels": file, "broken": broken}, IMAGES) as inside:
        for _ in range(2):
            seconds, logits = inside.run("pixels")
            assert np.array_equal(logits, IMAGES.reshape(2, 48))
            assert seconds >= 0
        with pytest.raises(RuntimeMissing, match="onnxruntime-web cannot run the broken file"):
            inside.run("broken")


def test_without_the_runtime_or_a_browser_it_is_one_line(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path / "empty"))
    with pytest.raises(RuntimeMissing, match=r"is not in .*empty"), in_browser({"pixels": file}, IMAGES):
        pass
    monkeypatch.setattr(browser, "cached_files", dict)
    monkeypatch.setattr(browser, "NAMES", ("no-such-browser",))
    with pytest.raises(RuntimeMissing, match="no Chromium"), in_browser({"pixels": file}, IMAGES):
        pass
