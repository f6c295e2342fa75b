"""The embedded backbone with few of its blocks, for a module of tests that export: each takes about a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from neuroprompt.training.backbone import EMBEDDED


def few_blocks(depth: int) -> object:
    """A fixture for the whole module that assigns it to a name."""

    @pytest.fixture(scope="module", autouse=True)
    def blocks() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(EMBEDDED, "depth", depth)
            yield

    return blocks
