"""Without any network every command works but push, pull and the installation of runtimes, which say so in one line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fork_server import ForkServer
from killing import TINY, TRAIN

COMMANDS = (
    f"{TRAIN} --epochs 1 --out run",
    "eval run --noise gaussian:0.1 --csv a.csv",
    "export run --target lava --out lava",
    "run BASE/means BASE/images/0000.png",
    "run lava --target loihi",
    "verify BASE/graph.nir --steps 5 --targets reference,loihi",
    "energy lava",
    "card lava --license mit",
    "targets list",
    "backbones swin*",
    "doctor",
)
IN_CAMPAIGN = (
    "export run --target onnx --out onnx",
    "report run onnx lava --out r.html --rounds 2",
    "bench onnx",
    f"sweep {TINY} --limit 20 --epochs 1 --grid method=linear,vpt-deep --seeds 1 --out sweep",
    "demo --out demo",
)
REFUSED = ("pull me/digits --out pulled", "push lava me/digits", "targets install nengo")


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_every_verb_without_a_network(base: Path, tmp_path: Path) -> None:
    alone = ("unshare", "--net")
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespace without a network can be made here")
    empty = {"NEUROPROMPT_CACHE": str(tmp_path / "cache"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    empty |= {"HF_HOME": str(tmp_path / "hub"), "TORCH_HOME": str(tmp_path / "torch"), "HF_TOKEN": "hf_x"}
    commands = (*COMMANDS, *(IN_CAMPAIGN if "NEUROPROMPT_KILLS" in os.environ else ()))
    failed = []
    with ForkServer(f"alone-{os.getpid()}", empty, alone) as server:
        for command in (*commands, *REFUSED):
            server.start(command.replace("BASE", str(base)).split(), tmp_path, tmp_path / "said")
            code = server.end().code
            words = (tmp_path / "said.err").read_text()
            if code != (2 if command in REFUSED else 0) or "Traceback" in words:
                failed.append((command, code, words[-400:]))
        assert server.living() == []
    assert failed == []
