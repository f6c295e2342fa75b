"""A compiler of C for the tests."""

from __future__ import annotations

import pytest

from neuroprompt.csource.compiler import compiler


@pytest.fixture(scope="session")
def cc() -> str:
    program = compiler()
    if program is None:
        pytest.skip("no C compiler (cc, gcc or clang)")
    return program
