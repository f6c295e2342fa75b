"""The one reader of program files: what is written comes back, and what is none is one line everywhere."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from neuroprompt.errors import BadBundle
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights
from neuroprompt.workers.program_file import read_program_file


def a_program() -> Program:
    first = Population("a", 2, np.array([0.5, 1.0]), 0.25, 1.0, np.zeros(2), v_reset=-0.5, currents=((3, np.ones(2)),))
    last = Population("b", 3, 1.0, 0.0, np.inf, np.arange(3.0), depth=2, emits="v")
    forms = (np.ones(2), np.array([[0.0, 1.5], [2.0, 0.0]]), csr_matrix(np.eye(3, 2)))
    ends = (("input", "a", 0), ("a", "a", 1), ("a", "b", 0))
    projections = tuple(Projection(s, t, Weights(w), lag) for (s, t, lag), w in zip(ends, forms, strict=True))
    return Program("float", 4, 2, (first, last), projections)


def written(**changes: object) -> bytes:
    """The file with another header."""
    with np.load(io.BytesIO(a_program().to_bytes())) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays["header"].tobytes()) | changes
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def test_what_is_written_comes_back() -> None:
    program = a_program()
    again = Program.from_bytes(program.to_bytes())
    assert again.to_bytes() == program.to_bytes()
    plain, spec = read_program_file(io.BytesIO(program.to_bytes())), program.spec()
    assert plain.keys() == spec.keys()
    for mine, theirs in zip(plain["populations"], spec["populations"], strict=True):
        assert mine.keys() == theirs.keys()
    assert [type(q["weights"]) for q in plain["projections"]] == [type(q["weights"]) for q in spec["projections"]]


@pytest.mark.parametrize("data", [b"", b"PK", written(format="neuroprompt-program-1"), written(populations=[{}])])
def test_what_is_no_program_is_one_line(data: bytes) -> None:
    with pytest.raises(BadBundle, match="cannot be read") as caught:
        Program.from_bytes(data)
    assert "\n" not in str(caught.value)


def test_the_file_is_read_in_one_place() -> None:
    """Its arrays have names such as weights.0, and only one file of the project takes them apart."""
    folder = WORKERS.parent
    readers = {
        str(file.relative_to(folder))
        for file in Path(folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Subscript) and ast.unparse(node.slice).startswith(("f'weights.", "f'current."))
        if isinstance(node.ctx, ast.Load)
    }
    assert readers == {"workers/program_file.py"}
