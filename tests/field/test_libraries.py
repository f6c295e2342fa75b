"""Six libraries make, export and run small nets in their own packages; their files, compiled here, fire as they did."""

from __future__ import annotations

import pytest
from libraries import NETS, packages_of, rows_of

from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import RuntimeMissing

STEPS, ROUNDINGS, LARGEST = 60, 4, 40.0
"""Of a run in float32: steps, roundings in each, and the largest potential, which bound how far it is from float64."""


@pytest.mark.slow
@pytest.mark.parametrize("library", list(dict.fromkeys(net.library for net in NETS)))
def test_every_spike_is_the_librarys_own(library: str) -> None:
    """All of them where its reset is what was typed; else the potentials below a threshold that is never met.

    Where a potential reaches two thresholds and the library then does more than one spike, the run says so.
    """
    try:
        packages_of(library)
    except RuntimeMissing as error:
        pytest.skip(f"the packages of {library} cannot be had: {error}")
    if not SpikingTarget.part(library).available().ok:
        pytest.skip(f"{library} is not installed")
    rows = list(rows_of(library))
    assert [row.net for row in rows] == [net for net in NETS if net.library == library]
    for row in rows:
        if row.difference is not None:
            assert row.difference <= STEPS * ROUNDINGS * LARGEST * 2**-24, row.cells
        elif row.net.several:
            assert row.several > 0, row.cells
            assert max(row.matching) < 1.0, row.cells
        elif row.net.reproducible:
            assert row.matching == (1.0, 1.0), row.cells
            assert all(theirs > 10 for theirs, _ in row.spikes), row.cells
        else:
            assert max(row.matching) < 1.0, row.cells
