"""Other projects' own code, to compare ours with; no stubs."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from fetched import fetched


@pytest.fixture(scope="session")
def neurobench() -> None:
    """NeuroBench 2.3.0 can be imported."""
    fetched("neurobench-2.3.0", "neurobench==2.3.0")


@pytest.fixture(scope="session")
def spikingjelly() -> None:
    """SpikingJelly 2.0.0 can be imported."""
    fetched("spikingjelly-2.0.0", "spikingjelly==2.0.0", "loguru==0.7.3")


@pytest.fixture(scope="session")
def sanafe() -> Any:
    """SANA-FE 2.2.9, the simulator."""
    fetched("sanafe-2.2.9", "sanafe==2.2.9")
    return importlib.import_module("sanafe")
