"""Two processes train what one trains: Lightning Fabric's DDP on two CPU processes, through the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from float_bounds import of_training
from safetensors.torch import load_file

WORDS = "train --random-weights --image-size 16 --limit 21 --epochs 2 --batch 8 --tokens 2 --optimiser sgd --device cpu"


def trained(folder: Path, *more: str) -> dict[str, torch.Tensor]:
    # The script itself, because the other processes are started by its name.
    command: list[str | Path] = [Path(sys.executable).with_name("neuroprompt"), *WORDS.split(), "--out", folder, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return load_file(folder / "prompt.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spike-nvpt", "vpt-deep"])
def test_two_processes_train_what_one_trains(method: str, tmp_path: Path) -> None:
    """An odd last row leaves one process without an image; the sum over images must still be the same."""
    before = trained(tmp_path / "before", "--method", method, "--lr", "1e-30")
    one = trained(tmp_path / "one", "--method", method, "--lr", "0.05")
    two = trained(tmp_path / "two", "--method", method, "--lr", "0.05", "--devices", "2", "--strategy", "ddp")
    assert one.keys() == two.keys()
    for name, value in one.items():
        limit = of_training(before[name], value, steps=6)
        assert float((two[name] - value).abs().max()) <= limit, name
        # One image of a batch of 8 that is lost or counted twice would show.
        assert limit < float((value - before[name]).abs().max()) / 50, name
