"""Names of files and classes that would steer a terminal are written out wherever a person reads them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from neuroprompt.cli import main
from neuroprompt.cli._output import TerminalProgress, emit, table

WILD = "\x1b[31mred\x07\x9b2J\u202egnp"


def harmless(text: str) -> bool:
    return all(c.isprintable() or c in " \n" for c in text)


def test_lines_and_tables_write_control_characters_out(capsys: pytest.CaptureFixture[str]) -> None:
    emit({}, False, table(WILD, ("image", WILD), [(WILD, f"[bold]{WILD}")]), f"next: {WILD}\nand {WILD}")
    TerminalProgress().say(WILD)
    out, err = capsys.readouterr()
    assert harmless(out)
    assert harmless(err)
    assert out.count("\\x1b[31mred") >= 3, "a table may break the rest of a name over lines"
    assert "[bold]" in out
    assert out.count("\nand ") == 1


def test_names_in_any_script_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    emit({}, False, table("ねこ", ("кошка", "قط"), [("गाय", "Käfer")]))
    out = capsys.readouterr().out
    assert all(name in out for name in ("ねこ", "кошка", "قط", "गाय", "Käfer"))


def test_training_on_wild_names_prints_none_of_them_raw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ant", f"bee{WILD}"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "data" / name / f"{i}.png")
        (tmp_path / "data" / name / f"x.{WILD}").touch()
    words = [
        "train",
        "--method",
        "linear",
        "--random-weights",
        "--image-size",
        "16",
        "--epochs",
        "1",
        "--device",
        "cpu",
    ]
    command = ["neuroprompt", *words, "--data", f"folder:{tmp_path / 'data'}", "--out", str(tmp_path / WILD)]
    said = []
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", [*command, *more])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code in (0, None)
        said.append(capsys.readouterr())
    done, finished = said
    assert harmless(done.out + done.err)
    assert "passed over 1 file ending in .\\x1b" in done.err
    assert harmless(finished.out)
    assert json.loads(finished.out)["run"] == str(tmp_path / WILD)
