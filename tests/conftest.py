"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real weights, data and graphs beside the project; tests that use it are skipped without it."""
    folder = Path(os.environ.get("NEUROPROMPT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "assets").is_dir():
        pytest.skip("no folder of real weights and data (NEUROPROMPT_SHARED) beside the project")
    return folder


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
