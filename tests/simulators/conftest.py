"""A mark on all processes that a test starts."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator

import pytest
from child_processes import marked, ownerless, until

from neuroprompt.simulators.staying import end_all


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """A variable that every process started by a test inherits, however deep; at the end none may live."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("NEUROPROMPT_TEST_MARK", value)
    end_all()  # workers of other tests
    before = ownerless()
    yield value.encode()
    end_all()
    for pid in marked(value.encode()):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not ownerless() - before, 10)
