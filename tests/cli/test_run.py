"""`run` of a folder as folders are: hidden files, broken images, links to nowhere, a folder called like an image."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import neuroprompt as npt
from neuroprompt.bundles.artefact import Settings, artefact
from neuroprompt.bundles.bundle import Bundle, write_bundle
from neuroprompt.bundles.results import Prediction, Predictions, SpikeRun, Unread
from neuroprompt.errors import BadBundle, BadSetting

Command = Callable[..., Any]


def image(file: Path, seed: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(file)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "images"
    image(place / "c.png", 1)
    (place / "._c.png").write_bytes(b"what macOS leaves beside a file")
    (place / "b.png").write_bytes(b"no image")
    image(place / "x.png" / "d.JPG", 2)
    (place / "gone.png").symlink_to(place / "nowhere.png")
    image(place / ".trash" / "old.png")
    (place / "notes.txt").write_text("no image's suffix")
    return place


def test_a_broken_image_is_a_row_and_the_others_run(command: Command, onnx_bundle: Path, folder: Path) -> None:
    result = command("run", onnx_bundle, folder, "--json")
    assert result.code == 1
    assert result.err.splitlines()[-1] == "2 of 4 images could not be read"
    rows = {Path(row["file"]).name: row for row in result.json["images"]}
    assert list(rows) == ["b.png", "c.png", "gone.png", "d.JPG"]
    assert result.json["failed"] == 2
    for name in ("b.png", "gone.png"):
        assert set(rows[name]) == {"file", "error"}
        assert "cannot be read as an image" in rows[name]["error"]
    for name in ("c.png", "d.JPG"):
        assert set(rows[name]) == {"file", "label", "probability", "top5"}
    alone = command("run", onnx_bundle, folder / "c.png", "--json")
    assert alone.code == 0
    assert alone.json["images"] == [rows["c.png"]]
    assert "error: " in command("run", onnx_bundle, folder).out


def test_images_that_all_can_be_read_end_with_0(command: Command, onnx_bundle: Path, tmp_path: Path) -> None:
    result = command("run", onnx_bundle, image(tmp_path / "a.png"), image(tmp_path / ".hidden.png"), "--json")
    assert (result.code, result.json["failed"], len(result.json["images"])) == (0, 0, 2), "a file that was named counts"


def test_in_python_it_is_one_function(onnx_bundle: Path, lava_bundle: Path, folder: Path) -> None:
    classified = npt.run(onnx_bundle, [folder])
    assert isinstance(classified, Predictions)
    assert [type(row) for row in classified.images] == [Unread, Prediction, Unread, Prediction]
    assert json.loads(json.dumps(classified.json())) == classified.json()
    spikes = npt.run(Bundle.open(lava_bundle), target="loihi", precision="float")
    assert isinstance(spikes, SpikeRun)
    assert sum(node["spikes"] for node in spikes.json()["nodes"].values()) > 0


def test_what_a_bundle_has_no_use_for(onnx_bundle: Path, lava_bundle: Path, tmp_path: Path) -> None:
    file = image(tmp_path / "a.png")
    with pytest.raises(BadSetting, match="target loihi; expected a Lava bundle"):
        npt.run(onnx_bundle, [file], target="loihi")
    with pytest.raises(BadSetting, match="whose neurons take none"):
        npt.run(lava_bundle, [file], target="loihi")
    with pytest.raises(BadSetting, match="lanes 4"):
        npt.run(lava_bundle, target="loihi", lanes=4)
    other = write_bundle(tmp_path / "nir", "nir", lambda place: {"file": "generator.nir"})
    with pytest.raises(BadBundle, match="which neuroprompt does not run"):
        artefact(other).run([], Settings())
    with pytest.raises(BadBundle, match=r"bundle for 'tpu'; expected one for .*lava or"):
        artefact(write_bundle(tmp_path / "tpu", "tpu", lambda place: {}))
