"""What the documentation says of other libraries, one small script for each row: it fails when a library changes.

The scripts run in a child with the library's own packages, at the newest versions that pip installs (November 2026).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from libraries import packages_of, python_of
from library_rows import ROWS

from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import RuntimeMissing

DOCS = Path(__file__).parents[2] / "docs"
END = "-- end of a row --"
RUN = """
import json, sys, traceback
for script in json.load(sys.stdin):
    try:
        exec(script, {})
    except Exception:
        print(traceback.format_exc(limit=-1).replace("\\n", " "))
    print(END)
""".replace("END", repr(END))
"""Imports take longest, so that all rows of a library share a process."""


@pytest.mark.slow
@pytest.mark.parametrize("library", dict.fromkeys(library for library, _, _ in ROWS.values()))
def test_the_library_still_does_it(library: str) -> None:
    rows = {name: row for name, row in ROWS.items() if row[0] == library}
    try:
        folders = packages_of(library) if library else ""
    except RuntimeMissing as error:
        pytest.skip(f"the packages of {library} cannot be had: {error}")
    if library and not SpikingTarget.part(library).available().ok:
        pytest.skip(f"{library} is not installed")
    if not library:
        pytest.importorskip("norse", reason="norse is not installed")
    words = [python_of(library) if library else sys.executable, "-W", "ignore", "-c", RUN]
    scripts = json.dumps([script for _, script, _ in rows.values()])
    environment = os.environ | {"PYTHONPATH": folders}
    done = subprocess.run(
        words, env=environment, input=scripts, capture_output=True, text=True, timeout=300, check=False
    )
    answers = [printed.strip().split("\n")[-1] for printed in done.stdout.split(END)[:-1]]
    assert answers == [expected for _, _, expected in rows.values()], done.stderr[-2000:]


def test_the_documentation_names_these_versions() -> None:
    """A row is of one version: a pin that moves is to be looked at again."""
    text = (DOCS / "explain" / "simulators.md").read_text() + (DOCS / "libraries.md").read_text()
    for row in ROWS:
        assert " ".join(row.split()[:2]) in text, row
