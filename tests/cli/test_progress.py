"""Progress in a log: a line now and then with the speed and the time left; nothing for what is quick."""

from __future__ import annotations

import re

import pytest

from neuroprompt.cli import _output


def test_a_log_gets_lines_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = iter(range(0, 10_000, 10))  # ten seconds an item
    monkeypatch.setattr("neuroprompt.cli._output.time.monotonic", lambda: float(next(now)))
    assert list(_output.TerminalProgress().track(range(9), "images")) == list(range(9))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "images: 3 of 9, 0:01:00 left (10.0 s each)",
        "images: 6 of 9, 0:00:30 left (10.0 s each)",
        "images: 9 of 9, 0:00:00 left (10.0 s each)",
    ]


def test_what_is_quick_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(1 for _ in _output.TerminalProgress().track(iter(range(1000)), "images")) == 1000
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar_with_the_speed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    monkeypatch.setattr(_output, "notes", Console(stderr=True, force_terminal=True, width=120))
    list(_output.TerminalProgress().track(range(500), "images"))
    assert re.search(r"images.*500/500", capsys.readouterr().err)
