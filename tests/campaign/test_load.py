"""Many processes that install and use a simulator in one cache at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROCESSES = 8


@pytest.mark.slow
def test_eight_processes_install_and_use_one_runtime(base: Path, tmp_path: Path) -> None:
    if "NEUROPROMPT_KILLS" not in os.environ:
        pytest.skip("in a campaign only: set NEUROPROMPT_KILLS")
    env = {**os.environ, "NEUROPROMPT_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    typed = [sys.executable, "-m", "neuroprompt"]
    run = ["run", str(base / "lava"), "--target", "nengo", "--precision", "float", "--json"]
    script = 'set -e; "$@" targets install nengo >&2; "$@" ' + " ".join(run)
    command = ["bash", "-c", script, "bash", *typed]
    children = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    ended = [(*child.communicate(timeout=550), child.returncode) for child in children]
    assert [code for *_, code in ended] == [0] * PROCESSES, [words for _, words, _ in ended]
    results = [json.loads(said) for said, *_ in ended]
    assert all(of["spikes"] == results[0]["spikes"] for of in results)
    assert len(list((tmp_path / "cache" / "runtimes").iterdir())) == 1
