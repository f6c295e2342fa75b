"""Kept: integers that were searched for once are read from the user's cache the next time, found by their content."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from neuroprompt.errors import BadBundle, CannotWrite
from neuroprompt.files import cache_folder, json_of, write_whole
from neuroprompt.spiking.program import Program

MOST = 64
"""How many searches are kept; the oldest goes."""
CODE = ("compiler", "loihi", "spiking", "xylo")
"""The rooms whose code says what a search gives."""


@dataclass(frozen=True)
class Search:
    """What decides what a search finds: the float program, the calibration inputs (T, n_in), and the options by name.

    Its name is the SHA-256 of all three and of the code that searches, so that a newer neuroprompt searches again.
    """

    program: Program
    inputs: np.ndarray[tuple[int, ...], np.dtype[Any]]
    options: tuple[tuple[str, float | str], ...]

    @property
    def name(self) -> str:
        """In hex."""
        digest = sha256(self.program.to_bytes())
        digest.update(repr((_code(), self.options, self.inputs.shape, self.inputs.dtype.str)).encode())
        digest.update(np.ascontiguousarray(self.inputs).tobytes())
        return digest.hexdigest()[:32]


def once(search: Search, find: Callable[[], tuple[Program, dict[str, Any]]]) -> tuple[Program, dict[str, Any], bool]:
    """The integers and their report, from the cache or from `find`; and whether they were kept before.

    A damaged file is searched for again, and a cache that cannot be written keeps nothing: both are no errors.
    """
    files = [folder() / f"{search.name}{ending}" for ending in (".npz", ".json")]
    with suppress(OSError, ValueError, BadBundle):
        report = json_of(files[1].read_bytes())
        if isinstance(report, dict) and {"populations", "projections", "spike_match"} <= report.keys():
            return Program.from_bytes(files[0].read_bytes()), report, True
    program, report = find()
    with suppress(CannotWrite, OSError):
        write_whole(files[0], program.to_bytes())
        write_whole(files[1], json.dumps(report).encode())
        for old in sorted(folder().glob("*.json"), key=lambda file: file.stat().st_mtime)[:-MOST]:
            old.unlink(missing_ok=True)
            old.with_suffix(".npz").unlink(missing_ok=True)
    return program, report, False


def folder() -> Path:
    """Where searches are kept."""
    return cache_folder() / "integers"


@cache
def _code() -> str:
    root, digest = Path(__file__).parents[1], sha256()
    for file in sorted(file for room in CODE for file in (root / room).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
