"""Errors: one line with got, expected and fix, the same as attributes, and as an object for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuroprompt import errors
from neuroprompt.errors import LONGEST, BadSetting, NeuropromptError


def test_the_three_parts_are_attributes_and_one_line() -> None:
    error = BadSetting("lr -1", "a number above 0", "type --lr 0.01")
    assert (error.got, error.expected, error.fix) == ("lr -1", "a number above 0", "type --lr 0.01")
    assert str(error) == "lr -1; expected a number above 0; type --lr 0.01"
    assert error.json() == {
        "type": "BadSetting",
        "got": "lr -1",
        "expected": "a number above 0",
        "fix": "type --lr 0.01",
        "message": str(error),
    }


def test_parts_that_are_missing_leave_no_trace() -> None:
    assert str(BadSetting("lr -1")) == "lr -1"
    assert BadSetting("lr -1").json()["fix"] == ""


def test_a_name_cannot_steer_the_terminal_or_break_the_line() -> None:
    error = BadSetting("file \x1b[31mred\x07\nnext é 名", "a name")
    assert str(error) == "file \\x1b[31mred\\x07 next é 名; expected a name"


def test_words_without_end_are_cut() -> None:
    assert len(str(BadSetting("x" * 10**6, "y"))) < 2 * LONGEST


def test_every_error_stands_in_the_tree_at_the_top() -> None:
    names = {e.__name__ for e in vars(errors).values() if isinstance(e, type) and issubclass(e, NeuropromptError)}
    assert names == {n for n in names if n in (errors.__doc__ or "")}


def test_json_gives_an_object_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from neuroprompt.cli import main

    monkeypatch.setattr("sys.argv", ["neuroprompt", "energy", str(tmp_path / "x"), "--json"])
    with pytest.raises(SystemExit) as stopped:
        main()
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.out == ""
    found = json.loads(captured.err)["error"]
    assert found["type"] == "BadGraph"
    assert "there is no file" in found["message"]
