"""The experiments behind RESULTS.md: the page is that of the results file, the rule, the floor, and a rehearsal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from evidence_claims import CLAIMS, SETTINGS, SPIKE_NVPT
from evidence_data import studies
from evidence_overview import COSTED, OVERVIEW
from evidence_results import RESULTS, loaded, packed, read
from evidence_rule import CONFIRMED, CONTRADICTED, OPEN, findings, verdict
from PIL import Image
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from neuroprompt.contracts.learning import Prompt
from neuroprompt.training.statistics import Interval

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_is_that_of_the_results_file(tmp_path: Path) -> None:
    words = [sys.executable, str(EXAMPLES / "evidence_report.py")]
    words += ["--out", str(tmp_path / "page.md"), "--figures", str(tmp_path)]
    subprocess.run(words, check=True, timeout=300)
    page = (tmp_path / "page.md").read_text()
    assert page == (ROOT / "RESULTS.md").read_text()
    shown = re.findall(r"!\[.*?\]\((docs/figures/.*?)\)", page)
    assert {Path(name).name for name in shown} == {file.name for file in tmp_path.glob("*.svg")}
    assert all((ROOT / name).is_file() for name in shown)


def test_results_are_read_back_as_they_were_written() -> None:
    results = loaded()
    assert results.json() == RESULTS.read_text()
    assert len(results.noises) == 12
    for run in results.runs:
        assert not run.edge, f"{run.study}: a rate at the edge of its grid"
        assert all(0 <= share <= 1 for share in (run.clean, *run.noise.values()))
    names = [(run.study, run.seed) for run in results.runs]
    assert len(names) == len(set(names))
    for name in results.studies:
        assert len({(run.lr_prompt, run.lr_head, run.c) for run in results.of(name)}) <= 1, f"{name}: rates differ"


def test_the_page_says_how_many_images_and_seeds() -> None:
    page, results = (ROOT / "RESULTS.md").read_text(), loaded()
    for study in results.studies.values():
        for run in results.of(study.name):
            assert f"({run.train_images:,} " in page
    for group, seeds in (
        ("eurosat", 5),
        ("cifar10", 5),
        ("caltech101", 5),
        ("spike", 5),
        ("pixels", 5),
        ("memory", 5),
        ("elsewhere", 5),
        ("lite", 3),
    ):
        for name in results.studies:
            if name.startswith(f"{group}/") and not name.split("/")[1].startswith("logistic"):
                assert len(results.of(name)) in (0, seeds)


def test_no_default_changed_without_an_interval_above_zero() -> None:
    """RESULTS.md says that no other setting of Spike-NVPT became the default."""
    results = loaded()
    assert {findings(claim, results)[-1].verdict for claim in SETTINGS} == {OPEN}


def test_every_claim_compares_tested_studies_and_names_its_paper() -> None:
    results = loaded()
    for claim in (*CLAIMS, *SETTINGS):
        for pair in claim.pairs().values():
            assert all(results.of(study) for study in pair)
        assert (claim.size is None) or ("arXiv" in claim.paper)
    assert "2604.18284" in SPIKE_NVPT


# --- what methods cost -----------------------------------------------------------------------------------------------


def test_the_overview_has_every_method_and_its_cost() -> None:
    results, planned = loaded(), {study.name: study for study in studies(EXAMPLES / "evidence.toml", False)}
    assert {planned[name].method for name in OVERVIEW.values()} == set(Prompt.names())
    assert set(results.costs) == set(COSTED)
    for name, cost in results.costs.items():
        assert cost.macs > 0
        assert {run.prompt_parameters for run in results.of(name)} <= {cost.parameters}
    # Multiply-accumulates that a prompt adds: none where it is merged or lies in the image, some for tokens.
    macs = {name: results.costs[name].macs for name in COSTED}
    assert macs["others/lora"] == macs["others/ssf"] == macs["pixels/lor-vp"] == macs["pixels/linear"]
    assert macs["pixels/linear"] < macs["eurosat/vpt-deep"] < macs["others/vpt-shallow"]


@pytest.mark.slow
def test_the_cost_of_a_method_is_measured(tmp_path: Path) -> None:
    """On the embedded backbone, which is written in a second: ratios in their order, and neurons that run once."""
    from evidence_costs import cost
    from evidence_data import Study

    study = Study("x/spike-nvpt", "spike-nvpt", "digits", "embedded", 32, 1, ((1.0,), (1.0,)), (0,), (0,), 1)
    row = cost(study, tmp_path, timed=True)
    assert row.parameters == 7_680
    assert row.neurons_run == "once"
    assert row.neuron_joules is not None
    for ratio in (row.training, row.over_bare, row.over_lean):
        assert ratio is not None
        assert 0 < ratio[1] <= ratio[0] <= ratio[2]


# --- the rule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "bound", "size", "expected"),
    [
        (0.1, 2.0, 0.0, None, CONFIRMED),
        (0.1, 2.0, 0.0, 1.5, CONFIRMED),
        (0.5, 2.0, 0.0, 0.2, CONFIRMED),  # more than claimed
        (0.1, 2.0, 0.0, 3.9, OPEN),  # the sign, and less than claimed
        (-0.1, 2.0, 0.0, None, OPEN),
        (-2.0, -0.1, 0.0, None, CONTRADICTED),
        (-0.5, 0.1, -1.0, None, CONFIRMED),  # no worse
        (-1.2, 0.1, -1.0, None, OPEN),
        (-3.0, -1.1, -1.0, None, CONTRADICTED),
    ],
)
def test_the_rule(low: float, high: float, bound: float, size: float | None, expected: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high, 5, 1.0), bound, size) == expected


# --- the floor -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_the_floor_is_scikit_learns_logistic_regression(c: float) -> None:
    from evidence_study import logistic

    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(200, 6)), draw.integers(0, 4, 200)
    x[np.arange(200), y] += 1.0
    w, b, slope = logistic(torch.tensor(x), torch.tensor(y), 4, c)
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x, y)
    assert slope < 1e-6
    # The objective over c n, at its best biases, is 1 / (c n) strongly convex in W: a gradient of 24 entries below 1e-6
    # leaves W within 200 sqrt(24) 1e-6 = 1e-3 of the minimum. Biases follow up to a common shift.
    assert np.abs(w.numpy() - theirs.coef_).max() <= 1e-3
    ours, wanted = (values - values.mean() for values in (b.numpy(), theirs.intercept_))
    assert np.abs(ours - wanted).max() <= 1e-3
    assert (np.asarray(x @ w.numpy().T + b.numpy()).argmax(1) == theirs.predict(x)).mean() > 0.99


# --- a rehearsal -----------------------------------------------------------------------------------------------------

STUDIES = """
[defaults]
backbone = "deit_tiny_patch16_224"
px = 32
seeds = [0, 1]
search_seeds = [0]
side = 4

[tiny]
data = "noise"
epochs = 1
studies.spike-nvpt = { rates = [[1e-2], [1e-2]], settings = { tokens = 2 } }
studies.logistic = {}
"""


@pytest.mark.slow
def test_a_rehearsal_on_random_images(tmp_path: Path) -> None:
    """Random weights and images, from the search to the packed results; a second call adds nothing."""
    import timm

    assets, draw = tmp_path / "assets", np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 26)):
        for label in "ab":
            folder = assets / "data" / "noise" / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    (assets / "weights").mkdir()
    model = timm.create_model("deit_tiny_patch16_224", num_classes=1000)
    save_file(model.state_dict(), assets / "weights" / "deit_tiny_patch16_224.safetensors")
    (tmp_path / "studies.toml").write_text(STUDIES)
    words = [sys.executable, str(EXAMPLES / "evidence.py"), "--assets", str(assets), "--out", str(tmp_path / "out")]
    words += [
        "--device",
        "cpu",
        "--studies",
        str(tmp_path / "studies.toml"),
        "--workers",
        "1",
        "--cores",
        "1",
        "--seconds",
        "500",
    ]
    environment, before = {**os.environ, "OMP_NUM_THREADS": "1"}, 0
    for call in range(2):
        subprocess.run(words, check=True, timeout=550, env=environment)
        rows = read(tmp_path / "out" / "evidence.jsonl")
        assert [row for row in rows if row["kind"] == "error"] == []
        assert call == 0 or len(rows) == before
        before = len(rows)
        results = packed(rows)
        assert [(run.study, run.seed) for run in results.runs] == [
            ("tiny/spike-nvpt", 0),
            ("tiny/spike-nvpt", 1),
            ("tiny/logistic", 0),
        ]
        search = results.studies["tiny/spike-nvpt"].search
        assert search is not None
        assert search.runs == len(rows) - 3
    assert json.loads(results.json())["noises"] == list(results.noises)
