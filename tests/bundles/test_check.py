"""`doctor BUNDLE`: the same images on every machine, and a file that answers otherwise is seen."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from few_blocks import few_blocks
from onnx import numpy_helper

from neuroprompt.bundles import check
from neuroprompt.bundles.artefact import artefact
from neuroprompt.bundles.bundle import MANIFEST, Bundle, put_file, write_bundle
from neuroprompt.bundles.check import CHECK, check_inputs
from neuroprompt.bundles.export import export
from neuroprompt.bundles.forms import forms_of
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_folder import Run

_few_blocks = few_blocks(1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    spec = BackboneSpec("embedded", image_size=16, random=True)
    config = RunConfig("vpt-deep", {"tokens": 3}, backbone=spec, data="digits", limit=40, classes=tuple("0123456789"))
    model = assemble(config, load_backbone(spec)).eval()
    torch.nn.init.normal_(model.head.get_parameter("weight"))
    run = Run(Path("nowhere"), config, model, TrainingMetrics())
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    export(run, folder, precision="int8", max_drop=100.0)
    return folder


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Bundle:
    """A copy, which tests may change."""
    return Bundle.open(shutil.copytree(exported, tmp_path / "onnx"))


def test_the_images_are_the_same_everywhere() -> None:
    plain = {"size": [24, 20], "mean": [0, 0, 0], "std": [1, 1, 1], "canvas": None}
    images = np.round(check_inputs(plain) * 255).astype(np.uint8)
    assert images.shape == (3, 3, 24, 20)
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == "52b913b35320062c"
    assert all(len(np.unique(image)) > 100 for image in images)
    framed = check_inputs({**plain, "canvas": [32, 32]})
    assert framed.shape == (3, 3, 32, 32)


def test_every_file_in_every_runtime_answers_as_at_its_export(bundle: Bundle) -> None:
    redone = artefact(bundle).redone()
    assert {file.form for file in redone if file.runtime == "onnxruntime"} == set(forms_of(bundle))
    assert all(file.ok and file.top1_agreement == 1 for file in redone), [str(file) for file in redone]
    eight = next(file for file in redone if (file.form, file.runtime) == ("int8", "onnxruntime"))
    whole = next(file for file in redone if (file.form, file.runtime) == ("portable", "onnxruntime"))
    assert eight.max_rel_diff == 0, "the same file on the same processor"
    assert eight.tolerance > whole.tolerance, "what 8 bits changed at the export"


def test_a_processor_without_8_bit_products_is_named(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "processor_flags", lambda: ("avx2",))
    notes = {file.form: file.note for file in artefact(bundle).redone()}
    assert notes["int8"].startswith("no VNNI here")
    assert notes["portable"] == ""


def test_a_file_that_answers_otherwise_is_seen(bundle: Bundle) -> None:
    """A weight of the head that is moved, and a manifest that says nothing of it."""
    model = onnx.load(str(bundle.folder / "model.onnx"))
    heads = [tensor for tensor in model.graph.initializer if sorted(tensor.dims) == [10, 128]]
    moved = numpy_helper.to_array(heads[0]).copy()
    moved[0, 0] += 1
    heads[0].CopyFrom(numpy_helper.from_array(moved, heads[0].name))
    changed = put_file(bundle, "model.onnx", model.SerializeToString())
    redone = {(file.form, file.runtime): file for file in artefact(changed).redone()}
    assert not redone["portable", "onnxruntime"].ok
    assert redone["int8", "onnxruntime"].ok
    assert "is allowed" in str(redone["portable", "onnxruntime"])


def test_a_file_that_does_not_run_is_a_row(bundle: Bundle) -> None:
    changed = put_file(bundle, "model.int8.onnx", b"no graph")
    redone = {(file.form, file.runtime): file for file in artefact(changed).redone()}
    assert redone["portable", "onnxruntime"].ok
    assert not redone["int8", "onnxruntime"].ok
    assert "cannot be run" in str(redone["int8", "onnxruntime"])


def test_bundles_that_hold_nothing_to_compare_with(bundle: Bundle, tmp_path: Path) -> None:
    manifest = json.loads((bundle.folder / MANIFEST).read_text())
    del manifest["files"][CHECK]
    (bundle.folder / MANIFEST).write_text(json.dumps(manifest))
    (bundle.folder / CHECK).unlink()
    with pytest.raises(BadBundle, match="export it again"):
        artefact(Bundle.open(bundle.folder)).redone()
    other = write_bundle(tmp_path / "nir", "nir", lambda folder: {})
    with pytest.raises(BadSetting, match=r"for 'nir'; expected .*'onnx' or 'web'"):
        artefact(other).redone()
