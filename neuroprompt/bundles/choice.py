"""Which file of an ONNX bundle runs: the fused one where `bench` measured on this machine that it is faster.

A bundle has the same bytes wherever it was made, so what was measured stands in the user's cache folder: a file for
each bundle, processor and version of ONNX Runtime, with a row for each number of threads and batch size.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import log2
from pathlib import Path

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.forms import FUSED, PORTABLE, chosen_form, forms_of
from neuroprompt.errors import CannotWrite
from neuroprompt.files import cache_folder, write_whole
from neuroprompt.onnxgraph.faster import processor_name


@dataclass(frozen=True)
class Timed:
    """The time of the fused file over the portable one's: the median of rounds and its middle half, `low` to `high`."""

    threads: int
    batch: int
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """The form that runs, and why."""

    form: str
    why: str


def choose(bundle: Bundle, form: str | None, threads: int, batch: int, *, measured: bool = True) -> Choice:
    """The form to run in `threads` threads on `batch` images at a time; raises BadSetting where `form` is not there.

    `form` itself; else the precision of the export; else, where `measured` allows, the fused file if it was faster
    here in the middle half of the rounds. Of several measurements the nearest in threads and batch counts.
    """
    chosen = chosen_form(bundle, form)
    if form is not None:
        return Choice(chosen, "asked for by --form")
    if chosen != PORTABLE:
        return Choice(chosen, f"exported with --precision {chosen}")
    if FUSED not in forms_of(bundle):
        return Choice(PORTABLE, "the bundle has no other in 32 bits")
    if not measured:
        return Choice(PORTABLE, "the form that every runtime reads")
    rows = recalled(bundle)
    if not rows:
        return Choice(PORTABLE, "not measured here; 'neuroprompt bench BUNDLE' finds the faster one")
    near = min(rows, key=lambda row: abs(log2(row.threads / threads)) + abs(log2(row.batch / batch)))
    took = f"fused over portable took {near.median:.3f} ({near.low:.3f} to {near.high:.3f}) of the time here"
    why = f"{took}, {near.threads} threads, batch {near.batch}"
    return Choice(FUSED if near.high < 1 else PORTABLE, why)


def remember(bundle: Bundle, timed: Timed) -> None:
    """Keep a measurement of this machine, in place of one with the same threads and batch; a full disk is no error."""
    rows = [row for row in recalled(bundle) if (row.threads, row.batch) != (timed.threads, timed.batch)]
    text = json.dumps([asdict(row) for row in [*rows, timed]], indent=1)
    with suppress(CannotWrite):
        write_whole(_file(bundle), text.encode() + b"\n")


def recalled(bundle: Bundle) -> Sequence[Timed]:
    """What was measured of the bundle on this machine; nothing where the file is not ours to read."""
    try:
        rows = json.loads(_file(bundle).read_text())
        timed = [Timed(int(r["threads"]), int(r["batch"]), r["median"], r["low"], float(r["high"])) for r in rows]
        return [row for row in timed if row.threads > 0 and row.batch > 0]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def folder() -> Path:
    """Where measurements stand."""
    return cache_folder() / "forms"


def _file(bundle: Bundle) -> Path:
    import onnxruntime

    key = (bundle.digest, processor_name(), onnxruntime.__version__)
    return folder() / f"{sha256(repr(key).encode()).hexdigest()[:32]}.json"
