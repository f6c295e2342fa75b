"""The report: what it holds, what it says where something is not there, and what it refuses."""

from __future__ import annotations

import csv
import importlib
import io
import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from few_blocks import few_blocks
from PIL import Image

from neuroprompt.bundles.bundle import MANIFEST, Bundle, put_file
from neuroprompt.contracts.deployment import Exporter
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadBundle, BadSetting, CannotWrite, UnknownName
from neuroprompt.report.write import Report
from neuroprompt.report.write import report as write_report
from neuroprompt.training.config import configure
from neuroprompt.training.loop import train

SECTIONS = {
    "glance", "accuracy", "prompt", "spikes", "membranes", "float-fixed", "energy", "latency", "scales", "provenance"
}  # fmt: skip
QUICK: dict[str, Any] = {"noises": ["jpeg:25", "gaussian:0.1"], "rounds": 2, "targets": ["loihi", "snntorch", "sinabs"]}
"""Three targets: each other takes seconds to start. Pages of the documentation show a report on all."""
VERIFIED = "verify loihi,sinabs,snntorch"
Made = Callable[..., Path]


def trained(folder: Path, method: str, **more: Any) -> Path:
    given: dict[str, Any] = {"limit": 30, "epochs": 1, "batch": 10, "backbone": BackboneSpec(random=True)}
    settings = {} if method == "linear" else {"tokens": 2}
    train(configure(method=method, settings=settings, **{**given, **more}), folder, accelerator="cpu")
    return folder


_few_blocks = few_blocks(3)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run with its bundles, and a linear probe beside it."""
    from neuroprompt.training.run_folder import Run

    place = tmp_path_factory.mktemp("chain")
    run = trained(place / "spikes", "spike-nvpt")
    for target in ("onnx", "lava"):
        Exporter.named(target).export(Run.load(run), place / target)
    return {"run": run, "onnx": place / "onnx", "lava": place / "lava", "linear": trained(place / "linear", "linear")}


@pytest.fixture(scope="module")
def report(chain: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    out = tmp_path_factory.mktemp("report") / "r.html"
    return out, write_report(list(chain.values()), out, command=["neuroprompt", "report", "<b>"], **QUICK)


def test_every_figure_is_there_as_png_svg_and_csv(report: tuple[Path, Report]) -> None:
    out, result = report
    folder = out.with_name("r_files")
    assert result.report == out
    assert {p.name for p in out.parent.iterdir()} == {"r.html", "r_files"}
    assert {p.name for p in folder.iterdir()} == {
        "measured.json",
        *(f"{name}.{form}" for name in result.figures for form in ("png", "svg", "csv")),
    }
    for name in result.figures:
        with Image.open(folder / f"{name}.png") as image:
            image.verify()
        assert ElementTree.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")
        with (folder / f"{name}.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}


def test_the_numbers_are_those_that_were_measured(report: tuple[Path, Report]) -> None:
    folder = report[0].with_name("r_files")
    with (folder / "accuracy-under-noise.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "spike-nvpt"]
    kept = json.loads((folder / "measured.json").read_text())
    (accuracy,) = (v for k in kept.values() if VERIFIED in k for name, v in k.items() if name.startswith("accuracy"))
    assert {row["noise"]: float(row["accuracy"]) for row in rows} == {"clean": accuracy["clean"], **accuracy["noise"]}
    assert [row["noise"] for row in rows] == ["clean", *QUICK["noises"]]


def test_spikes_are_verified_on_the_targets_that_were_named(
    report: tuple[Path, Report], chain: dict[str, Path], tmp_path: Path
) -> None:
    kept = json.loads((report[0].with_name("r_files") / "measured.json").read_text())
    (verified,) = (results[VERIFIED] for results in kept.values() if VERIFIED in results)
    assert {"loihi-float", "loihi-fixed", "snntorch"} <= set(verified["targets"])
    assert {*verified["targets"], *verified["skipped"]} == {"loihi-float", "loihi-fixed", "snntorch", "sinabs"}
    with pytest.raises(UnknownName, match="no-such"):
        write_report([chain["lava"]], tmp_path / "r.html", targets=["loihi", "no-such"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_said(report: tuple[Path, Report]) -> None:
    out, result = report
    assert set(result.missing) == SECTIONS - {"glance", "accuracy", "provenance"}
    page = out.read_text()
    for lines in result.missing.values():
        assert list(lines) == [line for line in lines if line.startswith("linear: ")]
        assert all(line.split("(")[0].split("'")[0] in page for line in lines)


def test_everything_of_the_users_is_escaped(report: tuple[Path, Report]) -> None:
    page = report[0].read_text()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "<script" not in page


def test_names_of_files_and_classes_stay_words(chain: dict[str, Path], tmp_path: Path) -> None:
    """Of the run folder, the report, and the classes, whose names are those of other people's folders."""
    evil = "<img src=x onerror='hostile()'>&amp;\"><script>hostile()"
    run = shutil.copytree(chain["linear"], tmp_path / evil)
    values = json.loads((run / "run.json").read_text())
    values["config"]["classes"] = [f"{evil}{number}" for number in range(10)]
    (run / "run.json").write_text(json.dumps(values))
    tags: list[str] = []
    attributes: list[str] = []

    class Read(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            attributes.extend(name for name, _ in attrs)

    out = tmp_path / "<i onclick=x>r.html"
    skip = ("accuracy", "latency", "verify", "measure")
    write_report([run], out, skip=skip, command=["neuroprompt", "report", str(run)], **QUICK)
    page = out.read_text()
    Read().feed(page)
    assert "hostile()" in page
    assert not {"img", "script", "i"} & set(tags)
    assert not [name for name in attributes if name.startswith("on")]


def test_a_second_report_measures_nothing(
    report: tuple[Path, Report], chain: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: Any, **__: Any) -> None:
        raise AssertionError("measured again")

    measured = {"training.evaluation": "evaluate", "benchmarks.latency": "bench", "report._measured": "verify"}
    for module, name in measured.items():
        monkeypatch.setattr(importlib.import_module(f"neuroprompt.{module}"), name, again)
    before = report[0].read_text()
    write_report(list(chain.values()), report[0], command=["neuroprompt", "report", "<b>"], **QUICK)
    assert report[0].read_text().split("This report")[0] == before.split("This report")[0]


def test_a_browser_shows_it(report: tuple[Path, Report], look: Any) -> None:
    out, result = report
    for width in (1280, 390):
        seen = look(out, width)
        assert seen.complaints == []
        assert [a for a in seen.addresses if not a.startswith("data:")] == [out.resolve().as_uri()]
        assert [name for name, wide, high in seen.page["figures"] if wide > 200 and high > 80] == list(result.figures)
        assert seen.page["width"] <= width, "nothing is wider than the screen"
        assert seen.page["wide"] == []
        ids = seen.page["ids"]
        assert len(ids) == len(set(ids))
        assert set(seen.page["anchors"]) == SECTIONS <= set(ids)
        assert "Estimated, not measured" in seen.page["text"]
        assert seen.screenshot[:4] == b"\x89PNG"


def test_it_is_dark_where_the_reader_wants_it(report: tuple[Path, Report], look: Any, tmp_path: Path) -> None:
    light, dark = (Image.open(io.BytesIO(look(report[0], dark=on).screenshot)).convert("L") for on in (False, True))
    assert light.getpixel((3, 3)) == 255
    assert dark.getpixel((3, 3)) < 60  # type: ignore[operator]


@pytest.mark.parametrize("given", ["run", "onnx", "lava"])
def test_each_alone_makes_a_report(chain: dict[str, Path], given: str, tmp_path: Path) -> None:
    skip = ["latency", "verify"]
    result = write_report([chain[given]], tmp_path / "r.html", skip=skip, noises=[], rounds=2)
    drawn = {"run": "training", "onnx": "energy-spike-nvpt", "lava": "membranes-spike-nvpt"}
    assert drawn[given] in result.figures
    assert any("--skip" in line or "none was given" in line for line in result.missing["latency"])


def test_chosen_neurons_are_drawn(chain: dict[str, Path], tmp_path: Path) -> None:
    skip = ["accuracy", "latency", "verify"]
    write_report([chain["lava"]], tmp_path / "r.html", skip=skip, neurons=["5", "7"])
    with (tmp_path / "r_files" / "membranes-spike-nvpt.csv").open(newline="") as file:
        assert {row["neuron"] for row in csv.DictReader(file)} == {"5", "7"}
    with pytest.raises(BadSetting, match=r"--neuron 999999; expected a number from 0 to"):
        write_report([chain["lava"]], tmp_path / "other.html", skip=skip, neurons=["999999"])
    assert not list(tmp_path.glob("other*"))


def test_runs_that_cannot_be_compared(chain: dict[str, Path], tmp_path: Path) -> None:
    other = trained(tmp_path / "other", "linear", limit=20)
    with pytest.raises(BadSetting, match=r"limit are 30 and 20.*a report of each"):
        write_report([chain["run"], other], tmp_path / "r.html", **QUICK)
    with pytest.raises(BadSetting, match=r"same training run.*leave one out"):
        write_report([chain["run"], shutil.copytree(chain["run"], tmp_path / "twin")], tmp_path / "r.html", **QUICK)
    assert {p.name for p in tmp_path.iterdir()} == {"other", "twin"}


def test_a_bundle_from_another_version(chain: dict[str, Path], tmp_path: Path) -> None:
    old = shutil.copytree(chain["lava"], tmp_path / "old")
    manifest = json.loads((old / MANIFEST).read_text())
    (old / MANIFEST).write_text(json.dumps(manifest | {"format": "neuroprompt-bundle-0"}))
    with pytest.raises(BadBundle, match=r"neuroprompt-bundle-0.*export it again with this version"):
        write_report([old], tmp_path / "r.html", **QUICK)
    assert not (tmp_path / "r.html").exists()


def test_a_bundle_with_a_program_of_another_version(chain: dict[str, Path], tmp_path: Path) -> None:
    old = shutil.copytree(chain["lava"], tmp_path / "old")
    with np.load(old / "program.fixed.npz") as arrays:
        kept = dict(arrays)
    header = json.loads(kept["header"].tobytes()) | {"format": "neuroprompt-program-0"}
    kept["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **kept)
    put_file(Bundle.open(old), "program.fixed.npz", data.getvalue())
    with pytest.raises(BadBundle, match="export it again"):
        write_report([old], tmp_path / "r.html", **QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_other_peoples_files_are_left_alone(chain: dict[str, Path], tmp_path: Path) -> None:
    mine = tmp_path / "r_files" / "thesis.tex"
    mine.parent.mkdir()
    mine.write_text("years of work")
    with pytest.raises(CannotWrite, match="r_files exists and is not ours"):
        write_report([chain["run"]], tmp_path / "r.html", **QUICK)
    assert mine.read_text() == "years of work"
