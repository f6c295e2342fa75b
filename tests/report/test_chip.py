"""The figure of a Loihi 1: every core of the placement where it is, with the share of the run in which it works."""

from __future__ import annotations

import nir
import numpy as np
from sana_fe_nets import chain

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.energy.count_bundle import counts_of_model
from neuroprompt.energy.on_chip import OnChip
from neuroprompt.report.chip import plot
from neuroprompt.spiking.program import Population, Program, SpikingModel


def test_every_core_is_in_it_with_its_load() -> None:
    graph, inputs = chain((50, 1200, 10), 4, 0.3)
    chip = counts_of_model(model_of_graph(graph, 4, inputs), inputs, "loihi", "fixed").chip
    assert isinstance(chip, OnChip)
    drawn = plot("net", chip)
    loads = {row[0]: row for row in drawn.rows}
    assert set(loads) == {"0", "1", "in"}
    cores = chip.placement.cores
    assert sum(int(str(row[4])) for row in drawn.rows) == 1210 == sum(core.neurons for core in cores)
    for i, core in enumerate(cores):
        assert loads[str(i)][1:3] == core.tile
        busy = chip.latency.busy_s[i] / chip.latency.run_s
        assert abs(float(str(loads[str(i)][8])) - busy) <= 1e-3  # the table has three decimals
    assert max(chip.latency.busy_s) == chip.latency.busy_s[chip.latency.bottleneck]
    assert drawn.files()["chip-net.png"].startswith(b"\x89PNG")


def test_lines_that_send_nothing_are_not_drawn() -> None:
    """A generator of constant currents: its placement has a core for lines, as SANA-FE's nets have."""
    p = Population("p", 20, 4095, 0, 100, np.zeros(20, np.int32), currents=((0, np.full(20, 60, np.int32)),))
    program = Program("fixed", 4, 1, (p,), ())
    model = SpikingModel(nir.NIRGraph({}, [], type_check=False), program, program)
    chip = counts_of_model(model, np.zeros((4, 1)), "loihi", "fixed").chip
    assert isinstance(chip, OnChip)
    assert chip.placement.lines
    drawn = plot("net", chip)
    assert [row[0] for row in drawn.rows] == ["0"]
    assert "input lines" not in drawn.caption
