"""What the campaign takes for a whole file, and for a half-written one."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from broken_files import FORMATS, broken
from matplotlib.figure import Figure
from safetensors.numpy import save


def whole(suffix: str) -> bytes:
    """A file of that suffix as its own library writes it."""
    stream = io.BytesIO()
    if suffix == ".npz":
        np.savez(stream, a=np.arange(9))
    elif suffix == ".svg":
        Figure().savefig(stream, format="svg")
    return {
        ".json": json.dumps({"a": [1]}).encode(),
        ".safetensors": save({"a": np.arange(9)}),
        ".html": b"<!doctype html><html></html>\n",
        ".csv": b"a\n",
    }.get(suffix, stream.getvalue())


@pytest.mark.parametrize("suffix", [*FORMATS, ".csv"])
def test_a_whole_file_and_one_that_was_cut_off(suffix: str) -> None:
    data = whole(suffix)
    assert broken(suffix, data) == ""
    assert broken(suffix, b"") != ""
    if suffix in FORMATS:
        assert broken(suffix, data.rstrip()[:-1]) != ""
        assert broken(suffix, data[: len(data) // 2]) != ""
