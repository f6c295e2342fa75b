"""Makes docs/explain/fidelity.md's figures of a net: the Jaccard index by layer for the ways, and with limits lifted.

python docs/fidelity.py GRAPH.nir STEPS RATE [FIGURE.svg]     (fitted on a run of random spikes, measured on six others)
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from numpy.typing import NDArray

from neuroprompt.compiler.compile import floats_of_graph
from neuroprompt.compiler.place import place
from neuroprompt.compiler.stimuli import flat_with_inputs
from neuroprompt.contracts.wide import Wide
from neuroprompt.report.figures import new_figure
from neuroprompt.report.verify_figure import draw_ways
from neuroprompt.simulators.ways import jaccard_by_layer
from neuroprompt.spiking.program import Program, SpikingModel

HELD_OUT = 6
FINER = 6
"""Bits by which the lifted units are finer: all 24 bits of the potential, of which the sums of synapses reach 18."""


def main(file: str, steps: str, rate: str, figure: str = "") -> None:
    """Print a row for every way, and draw them."""
    flat, inputs = flat_with_inputs(Path(file), int(steps), f"poisson:{rate}")
    rng = np.random.default_rng(1)
    held_out = (rng.random((HELD_OUT, *inputs.shape)) < float(rate)).astype(float)
    ways: dict[str, dict[str, float]] = {}
    for way, split, wide in (("8 bits", False, None), ("split signs", True, None), ("auto", False, Wide())):
        begun = time.process_time()
        model = floats_of_graph(flat, inputs, split_signs=split, wide=wide)
        seconds = time.process_time() - begun
        ways[way] = jaccard_by_layer(model, held_out)
        row(way, ways[way], f"{place(model.fixed_program)['synapses']:,} | {seconds:.0f}")
    for name, lifted in lifted_limits(model).items():
        ways[name] = jaccard_by_layer(replace(model, fixed_program=lifted), held_out)
        row(name, ways[name], "- | -")
    if figure:
        drawn = new_figure(8.0, 3.6)
        draw_ways(drawn.subplots(), ways)
        with rc_context({"svg.hashsalt": "fidelity"}):
            drawn.savefig(figure, metadata={"Date": None}, bbox_inches="tight")


def lifted_limits(model: SpikingModel) -> dict[str, Program]:
    """Programs in floating point that keep all roundings of the integers but those of one limit.

    scales of 1, 2, ... populations: the chip's unit of a sum of synapses, 2^6 of the potential's, a 64th of it.
    """
    floats = model.float_program
    scales = {name: report["scale"] for name, report in model.scale_report["populations"].items()}

    def rounded(finer: int, decays: bool) -> Program:
        factor = {name: scale * 2.0**finer for name, scale in scales.items()}
        populations = tuple(
            replace(
                p,
                vth=np.floor(np.asarray(p.vth) * factor[p.name]) / factor[p.name],
                bias=np.rint(p.bias * factor[p.name]) / factor[p.name],
                du=on_grid(p.du, decays),
                dv=on_grid(p.dv, decays),
            )
            for p in floats.populations
        )
        projections = tuple(
            replace(q, weights=q.weights.with_values(np.rint(q.weights.values * factor[q.target]) / factor[q.target]))
            for q in floats.projections
        )
        return replace(floats, populations=populations, projections=projections)

    return {
        "potential without an end": rounded(0, decays=True),
        f"sums {FINER} bits finer": rounded(FINER, decays=True),
        "exact decays": rounded(0, decays=False),
    }


def on_grid(decay: float | NDArray[np.float64], rounded: bool) -> NDArray[np.float64]:
    """A decay in 4096ths."""
    return np.rint(np.asarray(decay) * 4096) / 4096 if rounded else np.asarray(decay)


def row(way: str, layers: dict[str, float], spent: str) -> None:
    """A row of the table."""
    print(f"| {way} |", " | ".join(f"{value:.4f}" for value in layers.values()), "|", spent, "|", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
