"""The run that README trains and its bundles, made once for all tests that go on from them."""

from __future__ import annotations

from pathlib import Path

import blocks
import pytest
from one_maker import made_once


def materials_of(factory: pytest.TempPathFactory) -> Path:
    """What slow pages need, and the demo: by the commands of `blocks.MATERIALS`."""
    return made_once(factory, "materials", lambda folder: blocks.prepare(list(blocks.MATERIALS), folder))
