"""What a sweep plans and finds: cells, the choice by validation, differences; run folders are written, not trained."""

from __future__ import annotations

import csv
import dataclasses
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroprompt.cli.sweep import _parsed
from neuroprompt.cli.train import config_of
from neuroprompt.contracts.specs import BackboneSpec
from neuroprompt.errors import BadSetting, NeuropromptError
from neuroprompt.sweeps.cells import Cell, Point, grid
from neuroprompt.sweeps.plan import Plan, make_plan
from neuroprompt.sweeps.result import Mean, gather
from neuroprompt.sweeps.write import write
from neuroprompt.training.config import RunConfig, configure
from neuroprompt.training.metrics import Epoch, TrainingMetrics
from neuroprompt.training.run_files import begin, save_metrics
from neuroprompt.training.seeds import COLUMNS
from neuroprompt.training.statistics import interval

BASE = configure(epochs=1, limit=30)


def finish(cell: Cell, validation: float | None, test: dict[str, float] | None = None) -> None:
    """A run folder that says it is trained, and what its test says."""
    begin(cell.run, cell.config)
    save_metrics(cell.run, TrainingMetrics(finished=True, history=(Epoch(1, 1.0, validation),)))
    if test is not None:
        cell.test.parent.mkdir(exist_ok=True)
        with cell.test.open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(COLUMNS)
            rows.writerows((cell.run, "m", "h", "b", "d", cell.config.seed, *of, 30) for of in test.items())


def planned(out: Path, **more: object) -> Plan:
    points = grid(BASE, method=["linear", "evp"], lr=[0.1, 0.2, 0.3])
    return make_plan(points, out, **{"seeds": (3, 4), **more})  # type: ignore[arg-type]


# --- cells -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        BASE,
        configure(method="spike-nvpt", settings={"theta": 0.25, "deep": False}, warmup=0.5, val="0.2", exif=False),
        configure(method="lor-vp", head="iterative", head_settings={"sources": 2}, prompt_lr=3e-4, optimiser="sgd"),
        configure(backbone=BackboneSpec("vit_tiny_patch16_224", "/a b/c.safetensors", 64, False), resize="plain"),
        configure(backbone=BackboneSpec(random=True), lr=1e-05, weight_decay=0.0, seed=7, batch=3),
    ],
)
def test_a_cells_command_trains_its_configuration(config: RunConfig, tmp_path: Path) -> None:
    words = Cell(tmp_path, {}, config).train_task().words
    assert words[0] == "train"
    assert config_of(_parsed(list(words[1:]))) == config


@given(st.lists(st.text(min_size=1, max_size=200), min_size=2, max_size=2, unique=True))
def test_names_are_files_and_differ(values: list[str]) -> None:
    names = [Cell(Path("/x"), {"data": value}, BASE).name for value in values]
    assert names[0] != names[1]
    assert all(0 < len(name) <= 120 and "/" not in name and name.isprintable() for name in names)


def test_a_grid_is_every_combination_of_what_is_checked() -> None:
    points = grid(BASE, method=["linear", "evp"], lr=[0.1, 0.2])
    assert [dict(p.settings) for p in points] == [
        {"method": m, "lr": r} for m in ("linear", "evp") for r in ("0.1", "0.2")
    ]
    assert [(p.config.method, p.config.lr) for p in points][-1] == ("evp", 0.2)
    with pytest.raises(NeuropromptError):
        grid(BASE, method=["linear", "no-such"])


def test_cells_are_counted_before_anything_runs(tmp_path: Path) -> None:
    assert planned(tmp_path).count == len(planned(tmp_path).searched) == 12
    few = planned(tmp_path, search_seeds=1)
    assert len(few.searched) == 6
    assert few.count == 6 + 2


@pytest.mark.parametrize("search_seeds", [0, 3])
def test_the_rates_are_searched_with_seeds_of_the_sweep(search_seeds: int, tmp_path: Path) -> None:
    with pytest.raises(BadSetting):
        planned(tmp_path, search_seeds=search_seeds)


def test_rates_need_images_to_validate_with(tmp_path: Path) -> None:
    points = grid(dataclasses.replace(BASE, val="none"), lr=[0.1, 0.2])
    with pytest.raises(BadSetting, match="validate"):
        make_plan(points, tmp_path, seeds=[0])


def test_a_point_twice_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="twice"):
        make_plan([Point({}, BASE), Point({}, BASE)], tmp_path, seeds=[0])


def test_another_sweep_in_the_same_folder_is_one_line(tmp_path: Path) -> None:
    finish(planned(tmp_path).searched[0], 0.5)
    points = grid(dataclasses.replace(BASE, epochs=2), method=["linear"], lr=[0.1])
    with pytest.raises(BadSetting, match="another epochs: 1 there, 2 here"):
        make_plan(points, tmp_path, seeds=[3])


# --- the choice ------------------------------------------------------------------------------------------------------


def test_the_best_mean_on_validation_chooses_and_the_first_of_equal_ones(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    shares = {"0.1": (0.25, 0.75), "0.2": (0.5, 0.5), "0.3": (0.875, None)}  # equal means, and one not trained
    for group in plan.groups:
        assert plan.choice(group) is None
    for cell in plan.searched:
        share = shares[cell.settings["lr"]][cell.config.seed - 3]
        if share is not None and cell.settings["method"] == "evp":
            finish(cell, share)
    linear, evp = plan.groups
    assert plan.choice(linear) is None
    chosen = plan.choice(evp)
    assert chosen is not None
    assert chosen.settings["lr"] == "0.1"
    assert plan.validation(evp) == {"lr=0.1": 0.5, "lr=0.2": 0.5, "lr=0.3": None}


def test_the_first_seeds_alone_choose(tmp_path: Path) -> None:
    plan = planned(tmp_path, search_seeds=1)
    for cell in plan.searched:
        finish(cell, float(cell.settings["lr"]))
    group = plan.groups[0]
    point = plan.choice(group)
    assert point is not None
    assert point.settings["lr"] == "0.3"
    assert [cell.name for cell in plan.remaining(group, point)] == ["method=linear,lr=0.3,seed=4"]


def test_other_settings_may_be_chosen(tmp_path: Path) -> None:
    points = grid(BASE, method=["linear"], batch=[5, 10])
    assert len(make_plan(points, tmp_path, seeds=[0]).groups) == 2
    assert len(make_plan(points, tmp_path, seeds=[0], choose=["batch"]).groups) == 1


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_table_is_of_the_chosen_runs_and_pairs_are_seed_by_seed(tmp_path: Path) -> None:
    plan = planned(tmp_path, noises=["gaussian:0.1"])
    for cell in plan.searched:
        test = {"clean": 0.5, "gaussian:0.1": 0.4} if cell.settings["method"] == "linear" else {"clean": 0.4}
        finish(cell, float(cell.settings["lr"]), test)
    half = gather(plan, [])  # evp was tested without the noise: not yet what is asked for
    assert [row.name for row in half.table] == ["linear"]
    assert half.pairs == ()
    for cell in plan.searched:
        if cell.settings["method"] == "evp":
            finish(cell, float(cell.settings["lr"]), {"clean": 0.25 * (cell.config.seed - 3), "gaussian:0.1": 0.4})
    sweep = gather(plan, [])
    assert (sweep.cells, sweep.done) == (12, 12)
    assert [(row.name, row.chosen) for row in sweep.table] == [("linear", {"lr": "0.3"}), ("evp", {"lr": "0.3"})]
    clean, noisy = sweep.pairs
    assert (clean.a, clean.b, clean.metric, clean.n, clean.mean) == ("linear", "evp", "clean", 2, 0.375)
    assert (clean.low, clean.high) == (interval([0.5, 0.25]).low, interval([0.5, 0.25]).high)
    assert (noisy.metric, noisy.mean, noisy.low, noisy.high) == ("gaussian:0.1", 0.0, 0.0, 0.0)
    write(sweep)
    files = {file.name for file in tmp_path.iterdir() if file.is_file()}
    assert files == {"sweep.json", "accuracies.csv", "pairs.csv", "table.md", "sweep.svg"}
    assert "| linear - evp | clean | +37.50 |" in (tmp_path / "table.md").read_text()
    assert len((tmp_path / "accuracies.csv").read_text().splitlines()) == 1 + 8


def test_a_test_of_an_earlier_run_does_not_count(tmp_path: Path) -> None:
    cell = planned(tmp_path).searched[0]
    finish(cell, 0.5, {"clean": 0.5})
    assert cell.tested([]) == {"clean": 0.5}
    save_metrics(cell.run, TrainingMetrics(finished=True))
    assert cell.tested([]) is None


def test_one_seed_has_no_interval() -> None:
    assert Mean.of_differences({0: 0.5, 1: 0.1}, {0: 0.25}) == Mean(0.25, None, None, 1, None)
    assert Mean.of_differences({0: 0.5}, {1: 0.25}) is None


def test_a_cells_paths_are_absolute_and_named_for_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = BackboneSpec("vit_tiny_patch16_224", "deit.safetensors")
    (plan,) = [make_plan([Point({}, configure(backbone=spec, data="folder:images"))], "x", seeds=[0])]
    task = plan.searched[0].train_task()
    assert set(task.reads) == {tmp_path / "deit.safetensors", tmp_path / "images"}
    assert all(path.is_absolute() for path in (task.makes, task.log, task.writes, *task.reads))
    assert str(tmp_path / "x" / "runs") in shlex.join(task.words)


def test_groups_on_other_images_are_no_pair(tmp_path: Path) -> None:
    points = [Point({"data": data, "method": m}, BASE) for data in ("one", "two") for m in ("a", "b")]
    plan = make_plan(points, tmp_path, seeds=[0])
    for cell in plan.searched:
        finish(cell, 0.5, {"clean": 0.5})
    pairs = [(pair.a, pair.b) for pair in gather(plan, []).pairs]
    assert pairs == [("data=one, method=a", "data=one, method=b"), ("data=two, method=a", "data=two, method=b")]


def test_groups_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    points = [Point({"data": "one", "method": m, "lr": r}, BASE) for m in ("a", "b") for r in ("1", "2")]
    assert [group.name for group in make_plan(points, tmp_path, seeds=[0]).groups] == ["a", "b"]
    assert [group.name for group in make_plan(points[:2], tmp_path, seeds=[0]).groups] == ["data=one, method=a"]
    assert [group.name for group in make_plan([Point({}, BASE)], tmp_path, seeds=[0]).groups] == [BASE.method]
