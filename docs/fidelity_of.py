"""Makes docs/explain/fidelity.md's figures of a net: the Jaccard index by layer for the ways, and with limits lifted.

python docs/fidelity_of.py GRAPH.nir STEPS RATE [FIGURE.svg]  (fitted on a run of random spikes, measured on six others)
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import rc_context

from neuroprompt.compiler.compile import floats_of_graph
from neuroprompt.compiler.measure import jaccard_by_layer
from neuroprompt.compiler.place import place
from neuroprompt.compiler.stimuli import flat_with_inputs
from neuroprompt.contracts.wide import Wide
from neuroprompt.loihi.arithmetic import DECAY_ONE
from neuroprompt.report.figures import new_figure
from neuroprompt.report.verify_figure import draw_ways
from neuroprompt.spiking.program import Number, Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

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
    """Programs in floating point that round as the integers do, without truncation, and without one limit more.

    The first has the chip's own weights, thresholds and decays, and potentials without an end; the second units of all
    sums, thresholds and biases that are a 64th, the potential's lowest bit; the third exact decays.
    """
    floats, fixed = model.float_program, model.fixed_program
    scales = {name: report["scale"] for name, report in model.scale_report["populations"].items()}

    def on_chip(q: Projection) -> Projection:
        lists = [part for part in fixed.into(q.target) if (part.source, part.lag) == (q.source, q.lag)]
        whole = sum(part.weights.rows().astype(np.float64) * 2.0**part.exponent for part in lists)
        return replace(q, weights=Weights(whole / scales[q.target]))

    def finer(p: Population) -> Population:
        unit = scales[p.name] * 2.0**FINER
        return replace(p, vth=np.floor(np.asarray(p.vth) * unit) / unit, bias=np.rint(p.bias * unit) / unit)

    def finer_weights(q: Projection) -> Projection:
        unit = scales[q.target] * 2.0**FINER
        return replace(q, weights=q.weights.with_values(np.rint(q.weights.values * unit) / unit))

    def decays(p: Population) -> Population:
        return replace(p, du=on_grid(p.du), dv=on_grid(p.dv))

    def rounded(p: Population) -> Population:
        (chip,) = (each for each in fixed.populations if each.name == p.name)
        return replace(p, vth=chip.vth / scales[p.name], bias=chip.bias / scales[p.name])

    chip = tuple(on_chip(q) for q in floats.projections)
    return {
        "no end of the potential": replace(
            floats, populations=tuple(decays(rounded(p)) for p in floats.populations), projections=chip
        ),
        f"and sums {FINER} bits finer": replace(
            floats,
            populations=tuple(decays(finer(p)) for p in floats.populations),
            projections=tuple(finer_weights(q) for q in floats.projections),
        ),
        "and exact decays": replace(
            floats, populations=tuple(rounded(p) for p in floats.populations), projections=chip
        ),
    }


def on_grid(decay: Number) -> Number:
    """A decay in 4096ths."""
    return np.asarray(np.rint(np.asarray(decay) * DECAY_ONE) / DECAY_ONE)


def row(way: str, layers: dict[str, float], spent: str) -> None:
    """A row of the table."""
    print(f"| {way} |", " | ".join(f"{value:.4f}" for value in layers.values()), "|", spent, "|", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
