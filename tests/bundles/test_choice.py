"""Which file runs: what was asked for, what was measured here, and else the portable one; each with its reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from neuroprompt.bundles import choice
from neuroprompt.bundles.artefact import run
from neuroprompt.bundles.bundle import Bundle, write_bundle
from neuroprompt.bundles.choice import Timed, choose, recalled, remember
from neuroprompt.bundles.export import export
from neuroprompt.bundles.forms import FILES
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadSetting
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import EMBEDDED, load_backbone
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_folder import Run

FASTER, SLOWER, UNSURE = (0.9, 0.8, 0.95), (1.1, 1.05, 1.2), (0.99, 0.95, 1.01)


def bundle_of(folder: Path, *forms: str, chosen: str = "portable") -> Bundle:
    def fill(into: Path) -> dict[str, Any]:
        for form in forms:
            (into / FILES[form]).write_bytes(form.encode())
        return {"forms": {"chosen": chosen}}

    return write_bundle(folder, "onnx", fill)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_of(tmp_path / "both", "portable", "fused")


def test_nothing_was_measured(bundle: Bundle, tmp_path: Path) -> None:
    chosen = choose(bundle, None, 1, 8)
    assert chosen.form == "portable"
    assert "neuroprompt bench" in chosen.why
    alone = choose(bundle_of(tmp_path / "alone", "portable"), None, 1, 8)
    assert (alone.form, alone.why) == ("portable", "the bundle has no other in 32 bits")


@pytest.mark.parametrize(("times", "form"), [(FASTER, "fused"), (SLOWER, "portable"), (UNSURE, "portable")])
def test_the_clearly_faster_one_runs(bundle: Bundle, times: tuple[float, float, float], form: str) -> None:
    remember(bundle, Timed(1, 8, *times))
    chosen = choose(bundle, None, 1, 8)
    assert chosen.form == form
    assert f"{times[0]:.3f} ({times[1]:.3f} to {times[2]:.3f}) of the time here, 1 threads, batch 8" in chosen.why
    assert choose(bundle, None, 1, 8, measured=False).form == "portable"


def test_the_nearest_measurement_counts_and_a_new_one_replaces_the_old(bundle: Bundle) -> None:
    remember(bundle, Timed(1, 1, *FASTER))
    remember(bundle, Timed(1, 8, *SLOWER))
    assert [choose(bundle, None, 1, batch).form for batch in (1, 2, 4, 64)] == [
        "fused",
        "fused",
        "portable",
        "portable",
    ]
    remember(bundle, Timed(1, 8, *FASTER))
    assert choose(bundle, None, 1, 8).form == "fused"
    assert len(recalled(bundle)) == 2


def test_what_is_asked_for_comes_first(bundle: Bundle, tmp_path: Path) -> None:
    remember(bundle, Timed(1, 8, *FASTER))
    assert choose(bundle, "portable", 1, 8).form == "portable"
    fewer = bundle_of(tmp_path / "int8", "portable", "fused", "int8", chosen="int8")
    remember(fewer, Timed(1, 8, *FASTER))
    assert choose(fewer, None, 1, 8).form == "int8"
    with pytest.raises(BadSetting, match="form 'int8'"):
        choose(bundle, "int8", 1, 8)


def test_another_bundle_or_processor_was_not_measured(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(bundle, Timed(1, 8, *FASTER))
    other = bundle_of(tmp_path / "other", "portable", "fused", "fp16")
    assert not recalled(other)
    monkeypatch.setattr(choice, "processor_name", lambda: "another one")
    assert not recalled(bundle)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"threads": 0, "batch": 1, "median": 1, "low": 1, "high": 1}]', "7"]
)
def test_a_file_that_is_not_ours_says_nothing(bundle: Bundle, text: str) -> None:
    remember(bundle, Timed(1, 8, *FASTER))
    (file,) = choice.folder().iterdir()
    file.write_text(text)
    assert list(recalled(bundle)) == []
    remember(bundle, Timed(1, 8, *FASTER))
    assert len(recalled(bundle)) == 1


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A real bundle with both files; its attention is that of two blocks."""
    torch.manual_seed(1)
    spec = BackboneSpec("embedded", image_size=16, random=True)
    config = RunConfig("vpt-deep", {"tokens": 3}, backbone=spec, data="digits", limit=20, classes=tuple("0123456789"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EMBEDDED, "depth", 2)
        model = assemble(config, load_backbone(spec)).eval()
        out = tmp_path_factory.mktemp("small") / "onnx"
        export(Run(Path("nowhere"), config, model, TrainingMetrics()), out)
    return Bundle.open(out)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(file)
    return file


def test_a_run_says_which_file_and_why(small_bundle: Bundle, image: Path) -> None:
    usual = run(small_bundle, [image], threads=1).json()["how"]
    assert (usual["runtime"], usual["form"]) == ("ONNX Runtime", "portable")
    remember(small_bundle, Timed(1, 1, *FASTER))
    ran = run(small_bundle, [image], threads=1)
    assert ran.json()["how"]["form"] == "fused"
    assert ran.notes() == [f"fused file in ONNX Runtime: {ran.json()['how']['why']}"]
    assert run(small_bundle, [image], threads=1, form="portable").json()["how"]["why"] == "asked for by --form"


def test_labels_that_were_begun_go_on_with_the_same_file(small_bundle: Bundle, image: Path, tmp_path: Path) -> None:
    """What `bench` finds out between a kill and the same command again does not stop it."""
    out = tmp_path / "labels.jsonl"
    images = [shutil.copy(image, tmp_path / f"{i}.png") for i in range(3)]
    rows = run(small_bundle, images, batch_size=1).json()["images"]
    header = {"format": "neuroprompt-labels-1", "batch": 1, "bundle": small_bundle.digest, "form": "portable"}
    part = out.with_name(f"{out.name}.part")
    part.write_text("".join(json.dumps(line) + "\n" for line in (header, rows[0])))
    remember(small_bundle, Timed(1, 1, *FASTER))
    ran = run(small_bundle, images, batch_size=1, out=out).json()
    assert ran["how"] == {
        "runtime": "ONNX Runtime",
        "form": "portable",
        "why": "the one that this file was begun with",
    }
    assert [json.loads(line)["label"] for line in out.read_text().splitlines()] == [row["label"] for row in rows]
