"""`neuroprompt sweep`: a small one from its first to its second call, and what is wrong with a line in one line."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from in_turn import InTurn, exit_code
from small_disk import mounted

from neuroprompt.locks import one_writer

Command = Callable[..., Any]
SMALL = ("--random-weights", "--image-size", "16", "--limit", "30", "--epochs", "1", "--batch", "10", "--device", "cpu")


@pytest.mark.parametrize("in_turn", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_sweep_compares_and_the_same_line_again_runs_nothing(
    in_turn: bool, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`in_turn`: without the start of a child for each task, which takes longer than what it does."""
    if in_turn:
        monkeypatch.setattr("neuroprompt.sweeps.sweep.Engine.named", lambda *_, **__: InTurn())
    words = ["sweep", *SMALL, "--grid", "method=linear,evp", "--seeds", "1", "--out", tmp_path / "x", "--json"]
    first = command(*words)
    assert first.code == 0, first.err
    result = first.json
    assert {"cells", "done", "failed", "table", "pairs"} <= result.keys()
    assert (result["cells"], result["done"], result["failed"]) == (2, 2, [])
    linear, evp = (row["accuracy"]["clean"]["0"] for row in result["table"])
    (pair,) = result["pairs"]
    assert pair == {
        **{"a": "linear", "b": "evp", "metric": "clean", "mean": linear - evp},
        **{"low": None, "high": None, "n": 1},
    }
    assert json.loads((tmp_path / "x" / "sweep.json").read_text()) == result
    logs = {file: file.read_text() for file in (tmp_path / "x" / "logs").glob("*")}
    if not in_turn:
        assert {file.name for file in logs} == {f"method={method},seed=0.log" for method in ("linear", "evp")}
        assert [text.count("$ neuroprompt") for text in logs.values()] == [2, 2]  # train and eval
    runs = {file: file.stat().st_mtime_ns for file in (tmp_path / "x").rglob("prompt.safetensors")}
    assert len(runs) == 2
    assert command(*words).json == result
    assert {file: file.read_text() for file in (tmp_path / "x" / "logs").glob("*")} == logs
    assert {file: file.stat().st_mtime_ns for file in runs} == runs


def test_a_run_that_fails_is_listed_with_its_log(command: Command, tmp_path: Path) -> None:
    """Classes that no training can use; the exit code is 1."""
    (tmp_path / "images" / "train" / "a").mkdir(parents=True)
    words = ["sweep", *SMALL, "--grid", f"data=folder:{tmp_path / 'images'}", "--seeds", "1", "--out", tmp_path / "x"]
    done = command(*words, "--json")
    assert done.code == 1
    assert (done.json["done"], done.json["table"]) == (0, [])
    (failed,) = done.json["failed"]
    assert failed["error"]
    assert failed["error"] in Path(failed["log"]).read_text()
    assert "the same line again" in done.err


def test_a_dry_run_lists_the_cells_and_writes_nothing(command: Command, tmp_path: Path) -> None:
    words = ["--grid", "method=linear,evp", "--grid", "lr=3e-3,1e-2", "--seeds", "2", "--seed", "5"]
    done = command("sweep", *SMALL, *words, "--out", tmp_path / "x", "--dry-run", "--json")
    assert done.code == 0
    assert (done.json["cells"], done.json["done"], done.json["failed"]) == (8, 0, [])
    assert done.json["plan"][0]["cell"] == "method=linear,lr=3e-3,seed=5"
    assert done.json["plan"][0]["command"].startswith("neuroprompt train --method linear")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", "method=linear,no-such"], "no prompt method is called 'no-such'"),
        (["--grid", "lr=fast"], "--lr"),
        (["--grid", "lr"], "--grid 'lr'"),
        (["--grid", "lr=1e-2,"], "--grid 'lr=1e-2,'"),
        (["--grid", "lr=1e-2,1e-2"], "twice"),
        (["--grid", "seed=1,2"], "--seeds"),
        (["--grid", "no-such=1,2"], "has no setting 'no_such'"),
        (["--grid", "random-weights=yes,no"], "an option with a value"),
        (["--seedz", "5"], "--seedz"),
        (["--seeds", "0"], "seeds 0"),
        (["--engine", "no-such"], "no engine is called 'no-such'"),
        (["--engine-set", "no-such=1"], "no setting"),
        (["--threads", "0"], "threads 0"),
        (["--noise", "no-such:1"], "no-such"),
        (["--val", "none", "--grid", "lr=1e-2,1e-3"], "validate"),
        (["--data", "folder:no/such/place", "--grid", "lr=1e-2"], "is not there"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_runs(
    words: list[str], said: str, command: Command, tmp_path: Path
) -> None:
    done = command("sweep", *words, "--out", tmp_path / "x")
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert said in done.err
    assert not list((tmp_path / "x").glob("logs/*"))


def test_two_sweeps_into_one_folder_are_one_line(command: Command, tmp_path: Path) -> None:
    with one_writer(tmp_path / "x"):
        done = command("sweep", *SMALL, "--out", tmp_path / "x")
    assert done.code == 2
    assert "another process" in done.err


@pytest.mark.slow
def test_a_disk_that_fills_in_the_middle_loses_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done stays, the error is a line, and with room the same line ends with the table of a sound disk."""
    words = ("sweep", *SMALL, "--grid", "method=linear,evp", "--seeds", "1", "--json")

    def in_turn(out: Path) -> dict[str, Any]:
        """The same line without the start of a child for each task, where the disk is sound."""
        with monkeypatch.context() as patch, redirect_stdout(io.StringIO()):
            patch.setattr("neuroprompt.sweeps.sweep.Engine.named", lambda *_, **__: InTurn())
            assert exit_code(*words, "--out", out) == 0
        values: dict[str, Any] = json.loads((out / "sweep.json").read_text())
        return values

    sound = in_turn(tmp_path / "sound")
    pages = sum(-(-file.stat().st_size // 4096) for file in (tmp_path / "sound").rglob("*") if file.is_file())
    with mounted(tmp_path / "disk", f"size={4096 * pages // 2}"):
        out = tmp_path / "disk" / "x"
        full = command(*words, "--out", out)
        assert full.code in (1, 2), full.err
        assert "Traceback" not in full.err
        assert "No space left on device" in full.err
        before = {file: file.read_bytes() for file in out.rglob("prompt.safetensors")}
        subprocess.run(["mount", "-o", "remount,size=100M", str(tmp_path / "disk")], check=True)
        roomy = in_turn(out)
        assert [roomy[key] for key in ("table", "pairs")] == [sound[key] for key in ("table", "pairs")]
        assert {file: file.read_bytes() for file in before} == before
        assert not list(out.rglob("*.part"))
