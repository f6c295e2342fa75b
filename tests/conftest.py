"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from neuroprompt.contracts import SpikingTarget, Target
from neuroprompt.errors import RuntimeMissing
from neuroprompt.runtime import WORKERS, Runtime


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real weights, data and graphs beside the project; tests that use it are skipped without it."""
    folder = Path(os.environ.get("NEUROPROMPT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "assets").is_dir():
        pytest.skip("no folder of real weights and data (NEUROPROMPT_SHARED) beside the project")
    return folder


@pytest.fixture(scope="session")
def lava() -> SpikingTarget:
    """The real Lava simulator; its runtime is built at first use, in the cache that every user of this machine has."""
    try:
        Runtime("lava", "3.10", WORKERS / "lava.txt").interpreter(install=True)
    except RuntimeMissing as error:
        pytest.skip(f"no Python 3.10 can be had: {error}")
    target = Target.named("lava")
    assert isinstance(target, SpikingTarget)
    target.install()
    return target


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Quicker for nets as small as these, and the same bits in a child process on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
