"""The command in process, and one small trained run with its bundles."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neuroprompt.cli import main

SMALL = ("--random-weights", "--limit", "30", "--epochs", "1", "--batch", "10", "--tokens", "2")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


Command = Callable[..., Result]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `neuroprompt` with these words, as the shell would."""

    def run(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["neuroprompt", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        code = stopped.value.code
        return Result(code if isinstance(code, int) else 0 if code is None else 1, captured.out, captured.err)

    return run


def _once(*words: object) -> None:
    saved, sys.argv = sys.argv, ["neuroprompt", *map(str, words)]
    try:
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code in (0, None)
    finally:
        sys.argv = saved


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: Spike-NVPT with 2 tokens a block on a few digits."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    _once("train", *SMALL, "--out", folder)
    return folder


@pytest.fixture(scope="session")
def onnx_bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's ONNX bundle."""
    folder = tmp_path_factory.mktemp("out") / "onnx"
    _once("export", trained, "--target", "onnx", "--out", folder)
    return folder


@pytest.fixture(scope="session")
def lava_bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's Lava bundle."""
    folder = tmp_path_factory.mktemp("out") / "lava"
    _once("export", trained, "--target", "lava", "--out", folder)
    return folder
