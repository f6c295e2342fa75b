"""ONNX Runtime as a target: it runs files, whatever its settings, and refuses others in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from net_bounds import rounding
from torch import nn

from neuroprompt.contracts.deployment import Floats, ImageTarget, Target
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.onnxgraph.file import to_onnx


def runtime(**settings: object) -> ImageTarget:
    return ImageTarget.named("onnxruntime", **settings)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    file = tmp_path_factory.mktemp("net") / "net.onnx"
    to_onnx(module, (3, 8, 8), file, {"mean": "[0, 0, 0]"})
    return module, file


@pytest.mark.floats
@pytest.mark.parametrize("settings", [{}, {"threads": 1}, {"level": "none"}])
def test_it_runs_what_torch_runs(net: tuple[nn.Module, Path], settings: dict[str, object]) -> None:
    module, file = net
    target = runtime(**settings)
    for batch in (1, 3):
        images = torch.randn(batch, 3, 8, 8)
        with torch.no_grad():
            apart = np.abs(target.logits(file, images.numpy()) - module(images).numpy()).max()
        assert apart <= 2 * rounding(module, images)  # the same operations


def test_it_notices_that_the_file_is_another(net: tuple[nn.Module, Path], tmp_path: Path) -> None:
    module, file = net
    target, images = runtime(), np.ones((1, 3, 8, 8), dtype=np.float32)
    moving = tmp_path / "net.onnx"
    moving.write_bytes(file.read_bytes())
    first: Floats = target.logits(moving, images)
    twin = nn.Sequential(module, nn.Linear(5, 2))
    to_onnx(twin, (3, 8, 8), moving)
    assert first.shape == (1, 5)
    assert target.logits(moving, images).shape == (1, 2)


def test_it_is_there() -> None:
    there = Target.part("onnxruntime").available()
    assert there.ok
    assert there.version


def test_wrong_input_is_one_line(net: tuple[nn.Module, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing of the kind")
    for file in (broken, tmp_path / "none.onnx"):
        with pytest.raises(BadBundle, match="cannot be run"):
            runtime().logits(file, np.zeros((1, 3, 8, 8), dtype=np.float32))
    with pytest.raises(BadBundle, match=r"shape \(1, 3, 9, 9\)") as caught:
        runtime().logits(net[1], np.zeros((1, 3, 9, 9), dtype=np.float32))
    assert "\n" not in str(caught.value)
    for settings in ({"threads": -1}, {"level": "most"}):
        with pytest.raises(BadSetting):
            runtime(**settings)


SENDS_NOTHING = """
import sys
from pathlib import Path

import numpy as np

from neuroprompt.contracts.deployment import ImageTarget

ImageTarget.named("onnxruntime", threads=1).logits(Path(sys.argv[1]), np.ones((1, 3, 8, 8), np.float32))
opened = Path("/proc/self/fd")
links = [str(link.readlink()) for link in opened.iterdir() if link.is_symlink()] if opened.exists() else []
assert not [link for link in links if "Microsoft" in link], links
"""


def test_it_sends_nothing_to_its_makers(net: tuple[nn.Module, Path], tmp_path: Path) -> None:
    """From 1.29 on ONNX Runtime has threads that upload, and files at home of what they will: none is there.

    It leaves that out by itself on a machine of CI, which variables say.
    """
    ci = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY")
    env = {name: value for name, value in os.environ.items() if name not in ci}
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / "cache")}
    (tmp_path / "home" / "cache").mkdir(parents=True)
    command = [sys.executable, "-c", SENDS_NOTHING, str(net[1])]
    done = subprocess.run(command, env=env | home, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*icrosoft*"))
