"""What a start takes: processor time of new processes, and a bundle's first image."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuroprompt.benchmarks.startup import PYTHON, bench_startup
from neuroprompt.errors import BadSetting, WorkerFailed


@pytest.mark.slow
def test_every_start_is_timed_beside_python_alone() -> None:
    result = bench_startup(["run"], rounds=1)
    assert list(result.cpu_seconds) == [PYTHON, "import neuroprompt", "--help", "run --help", "doctor"]
    seconds = {name: middle.median for name, middle in result.cpu_seconds.items()}
    assert 0 < seconds[PYTHON] < seconds["run --help"]
    assert set(result.json()) == {"cpu_seconds", "cpu_seconds_quartiles", "rounds"}
    assert result.json()["cpu_seconds"] == seconds


def test_a_start_that_fails_is_an_error_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailed, match=r"run BUNDLE IMAGE failed with exit code 2"):
        bench_startup([], tmp_path / "none", rounds=1)
    with pytest.raises(BadSetting, match="rounds 0"):
        bench_startup([], rounds=0)
