"""Nothing that a bundle from elsewhere holds is read from outside its folder: links, weights, members of archives."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import nir
import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

import neuroprompt as npt
from neuroprompt.bundles.bundle import MANIFEST, Bundle, write_bundle
from neuroprompt.bundles.results import Prediction, Predictions
from neuroprompt.compiler.stimuli import inputs_of
from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.errors import BadBundle, BadData
from neuroprompt.files import sha256
from neuroprompt.onnxgraph.effective import effective
from neuroprompt.simulators.items import read_items
from neuroprompt.spiking.graph import write_graph

WILD = "\x1b[2J\x1b]0;mine\x07\u202e"
WEIGHTS = np.array([1, 2, 3], np.float32)


def means(folder: Path, location: str) -> None:
    """A model that adds the three numbers in the file at `location` to the means of the channels."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3], WEIGHTS.tobytes(), raw=True)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(WEIGHTS.nbytes))):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["means", "w"], ["logits"]),
    ]
    shape: list[str | int | None] = ["batch", 3, 8, 8]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape[:2])]
    graph = helper.make_graph(nodes, "means", inputs, outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def bundle_of(place: Path, location: str, classes: tuple[str, ...] = ("r", "g", "b")) -> Bundle:
    """A bundle whose model has its weights there; they are in the bundle, and above it, too."""
    preprocess = {"size": [8, 8], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}

    def fill(folder: Path) -> dict[str, object]:
        means(folder, location)
        (folder / "w.bin").write_bytes(WEIGHTS.tobytes())
        return {"preprocess": preprocess, "classes": list(classes)}

    (place / "secret.bin").write_bytes(WEIGHTS.tobytes())
    return write_bundle(place / "b", "onnx", fill)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


# --- links -----------------------------------------------------------------------------------------------------------


def test_a_link_out_of_a_bundle_is_rejected_though_its_content_is_right(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "w.bin")
    file = bundle.folder / "w.bin"
    file.unlink()
    file.symlink_to(tmp_path / "secret.bin")
    with pytest.raises(BadBundle, match=r"w\.bin is a link out of the bundle"):
        Bundle.open(bundle.folder)


def test_a_link_within_a_bundle_is_a_file_of_it(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "w.bin")
    (bundle.folder / "w.bin").rename(bundle.folder / "other.bin")
    (bundle.folder / "w.bin").symlink_to("other.bin")
    assert Bundle.open(bundle.folder) == bundle


def test_a_folder_that_leads_out_is_rejected(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "w.bin")
    (bundle.folder / "deep").symlink_to(tmp_path)
    manifest = json.loads((bundle.folder / MANIFEST).read_text())
    manifest["files"]["deep/secret.bin"] = sha256(tmp_path / "secret.bin")
    (bundle.folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BadBundle, match=r"secret\.bin is a link out of the bundle"):
        Bundle.open(bundle.folder)


@pytest.mark.parametrize("to", ["a device without an end", "a pipe that nobody writes to", "another manifest"])
def test_a_manifest_that_is_no_file_of_the_bundle(tmp_path: Path, to: str) -> None:
    bundle = bundle_of(tmp_path, "w.bin")
    manifest = bundle.folder / MANIFEST
    if to == "another manifest":
        manifest.rename(tmp_path / MANIFEST)
        manifest.symlink_to(tmp_path / MANIFEST)
    else:
        manifest.unlink()
        if to == "a pipe that nobody writes to":
            os.mkfifo(manifest)
        else:
            manifest.symlink_to("/dev/zero")
    with pytest.raises(BadBundle, match=r"manifest\.json is (no regular file|a link out of the bundle)"):
        Bundle.open(bundle.folder)


# --- weights of an ONNX file -----------------------------------------------------------------------------------------


def test_weights_beside_the_model_are_read(tmp_path: Path, image: Path) -> None:
    ran = npt.run(bundle_of(tmp_path, "w.bin"), [image])
    assert isinstance(ran, Predictions)
    (prediction,) = ran.images
    assert isinstance(prediction, Prediction)
    assert prediction.label == "b"


@pytest.mark.parametrize("how", ["absolute", "above", "above from within", "link", "linked folder"])
@pytest.mark.parametrize("reader", ["onnxruntime", "openvino", "effective"])
def test_weights_outside_are_not_read(tmp_path: Path, how: str, reader: str) -> None:
    location = {
        "absolute": str(tmp_path / "secret.bin"),
        "above": "../secret.bin",
        "above from within": "x/../../secret.bin",
        "link": "link.bin",
        "linked folder": "deep/secret.bin",
    }[how]
    bundle = bundle_of(tmp_path, location)
    (bundle.folder / "x").mkdir()
    (bundle.folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (bundle.folder / "deep").symlink_to(tmp_path)
    file, images = bundle.folder / "model.onnx", np.zeros((1, 3, 8, 8), np.float32)
    if reader == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    read = effective if reader == "effective" else ImageTarget.named(reader).logits
    with pytest.raises(BadBundle, match=r"takes weights from .*a file in its own folder"):
        read(file, images)


# --- archives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["../out.npy", "{root}/out.npy", "a/../../out.npy"])
def test_members_of_an_archive_are_written_nowhere(tmp_path: Path, member: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    nodes = {"input": nir.Input({"input": np.array([6])}), "n": nir.IF(np.ones(6), np.ones(6), np.zeros(6))}
    nodes["output"] = nir.Output({"output": np.array([6])})
    write_graph(nir.NIRGraph(nodes, [("input", "n"), ("n", "output")]), place / "g.nir")
    array = io.BytesIO()
    np.save(array, np.full((2, 3, 6), 2, np.float32))
    with zipfile.ZipFile(place / "x.npz", "w") as archive:
        for name in ("inputs.npy", member.format(root=tmp_path)):
            archive.writestr(name, array.getvalue())
    before = set(tmp_path.rglob("*"))
    npt.run_items(place / "g.nir", place / "x.npz")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_a_pipe_in_place_of_arrays_is_not_waited_for(tmp_path: Path, suffix: str) -> None:
    pipe = tmp_path / f"x{suffix}"
    os.mkfifo(pipe)
    with pytest.raises(BadData, match="is no regular file"):
        read_items(pipe, None, 6)


def test_a_pipe_in_place_of_a_stimulus_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(BadData, match="is no regular file"):
        inputs_of(str(tmp_path / "x.npy"), 6, None)


# --- names that are printed ------------------------------------------------------------------------------------------


def test_classes_and_files_of_a_bundle_do_not_steer_a_terminal(tmp_path: Path, image: Path) -> None:
    bundle = bundle_of(tmp_path, "w.bin", (WILD, WILD, f"{WILD}[bold]b"))
    wild = image.with_name(f"{WILD}.png")
    image.rename(wild)
    broken = image.with_name(f"broken{WILD}.png")
    broken.write_bytes(b"no image")
    said = ""
    for words in (["run", bundle.folder, wild, broken], ["run", bundle.folder / WILD, wild]):
        command = [sys.executable, "-m", "neuroprompt", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said += done.stdout + done.stderr
    assert "\\x1b[2J" in said
    assert all(c.isprintable() or c in " \n" for c in said)
