"""The model card of a bundle: it says what was measured, its manifest stays right, and what it tells to run runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from few_blocks import few_blocks
from huggingface_hub import ModelCard
from PIL import Image

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.predict import predict
from neuroprompt.contracts.deployment import Exporter
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.errors import BadBundle, BadData, UnknownName
from neuroprompt.report.card import card as write_card
from neuroprompt.report.card import read_accuracy
from neuroprompt.training.accuracy import Accuracy
from neuroprompt.training.config import configure
from neuroprompt.training.dataset import load_data
from neuroprompt.training.loop import train
from neuroprompt.training.run_folder import Run

ACCURACY = Accuracy(0.8125, {"gaussian:0.1": 0.5}, 16)
HEADINGS = [
    "Trained on",
    "Accuracy",
    "Checked before these files appeared",
    "Counts and energy",
    "Run it without neuroprompt",
    "Run it with neuroprompt",
    "Files",
    "Limits",
    "Versions",
]
FEW: dict[str, Any] = {"limit": 30, "epochs": 1, "batch": 10, "backbone": BackboneSpec(random=True)}
Exported = Callable[[str], Bundle]


_few_blocks = few_blocks(3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = configure(method="spike-nvpt", settings={"tokens": 2}, **FEW)
    return train(config, tmp_path_factory.mktemp("run") / "a", accelerator="cpu")


@pytest.fixture(scope="module")
def _bundles(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Each target's bundle, exported once."""
    place = tmp_path_factory.mktemp("bundles")

    @cache
    def export(target: str) -> Path:
        return Exporter.named(target).export(run, place / target).out

    return export


@pytest.fixture
def exported(_bundles: Callable[[str], Path], tmp_path: Path) -> Exported:
    """A copy of a bundle, for this test to change."""
    return lambda target: Bundle.open(shutil.copytree(_bundles(target), tmp_path / target))


@pytest.mark.parametrize("target", ["onnx", "lava"])
def test_a_card_says_it_all_and_the_bundle_stays_whole(exported: Exported, run: Run, target: str) -> None:
    bundle = write_card(exported(target), ACCURACY, licence="mit").bundle
    card = ModelCard.load(bundle.folder / "README.md")
    assert card.data.license == "mit"
    assert card.data.library_name == "neuroprompt"
    assert target in card.data.tags
    assert [result.metric_value for result in card.data.eval_results or []] == [0.8125, 0.5]
    headings = re.findall(r"^## (.*)$", card.text, flags=re.MULTILINE)
    assert [h for h in headings if h != "The integers"] == HEADINGS
    assert ("The integers" in headings) == (target == "lava")
    for words in ("81.2%", f"{run.metrics.val_accuracy:.1%}", "Estimated, not measured", "--set tokens=2"):
        assert words in card.text
    Bundle.open(bundle.folder)  # every SHA-256 is right


def test_a_card_says_whether_the_prompt_depends_on_the_image(exported: Exported, tmp_path: Path) -> None:
    config = configure(method="lspt", settings={"tokens": 2}, **FEW)
    bundle = Exporter.named("onnx").export(train(config, tmp_path / "run", accelerator="cpu"), tmp_path / "lspt").out
    assert "The prompt depends on the image." in write_card(bundle).text
    assert "The prompt is the same for every image." in write_card(exported("onnx")).text


def test_a_card_does_not_tell_where_things_lay(run: Run, exported: Exported, tmp_path: Path) -> None:
    bundle = exported("lava")
    about = {**bundle.about, "run": {**bundle.about["run"], "data": f"folder:{tmp_path}/cats"}}
    card = write_card(Bundle(bundle.folder, "lava", about)).file.read_text()
    assert "folder:cats" in card
    assert str(tmp_path) not in card


def test_the_code_of_a_card_runs_without_neuroprompt(exported: Exported, tmp_path: Path) -> None:
    bundle = write_card(exported("onnx")).bundle
    (code,) = re.findall(r"```python\n(.*?)```", (bundle.folder / "README.md").read_text(), flags=re.DOTALL)
    assert "neuroprompt" not in code
    images = load_data("digits", Preprocess((40, 50)), 0).test
    for i in range(3):
        file = tmp_path / f"{i}.png"
        Image.fromarray(images[i][0].permute(1, 2, 0).numpy()).save(file)
        words = [sys.executable, "-c", code, str(file)]
        said = subprocess.run(words, cwd=bundle.folder, capture_output=True, text=True, check=True, timeout=100).stdout
        assert said.strip() == predict(bundle, [file]).json()["images"][0]["label"]


def test_what_is_no_accuracy(tmp_path: Path) -> None:
    file = tmp_path / "eval.json"
    for text in ("no json", "{}", '{"clean": 0.5}', '{"clean": 50, "noise": {}, "images": 3}', "[]"):
        file.write_text(text)
        with pytest.raises(BadData, match="'neuroprompt eval RUN --json' prints"):
            read_accuracy(file)
    file.write_text(json.dumps(ACCURACY.json()))
    assert read_accuracy(file) == ACCURACY


def test_wrong_prices_and_a_bundle_that_has_no_card(exported: Exported) -> None:
    bundle = exported("lava")
    before = (bundle.folder / "README.md").read_text()
    with pytest.raises(UnknownName, match="loihi2"):
        write_card(bundle, prices=("loihi2", "loihi"))
    with pytest.raises(BadBundle, match="bundle for 'nir'"):
        write_card(exported("nir"))
    assert (bundle.folder / "README.md").read_text() == before
