"""Dump: every stage of the compiler as text, a line for every node, population and projection."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroprompt.compiler.flatten import Flat
from neuroprompt.compiler.place import place
from neuroprompt.compiler.report import bits_words, number_bits
from neuroprompt.spiking.program import Program, SpikingModel


def dump(flat: Flat, model: SpikingModel) -> str:
    """The flat graph, the float program with the chip's schedule, the integers, and where they go."""
    lines = [f"flatten: {len(flat.nodes)} nodes, dt {flat.dt:g} s, {flat.lines} input lines"]
    for n in flat.nodes:
        sources = ", ".join(f"{source}[t-{lag}]" if lag else source for source, lag in n.sources)
        extra = "" if n.delay is None else f"  delay {_range(n.delay)} steps"
        came = f" <- {sources}" if sources else ""
        lines.append(f"  {n.name}: {type(n.node).__name__} {_shape(n.shape)}{extra}{came}")
    lines += ["normalise, schedule:", *_program(model.float_program)]
    if model.quantisation_error is not None:
        return "\n".join([*lines, f"quantise: no integers: {model.quantisation_error}"])
    match = model.scale_report["spike_match"]
    lines.append(f"quantise: {match:.4%} matching (step, neuron) entries, on the calibration inputs")
    lines += [f"  {line}" for line in bits_words(number_bits(model.scale_report))]
    lines += _program(model.fixed_program)
    placed = place(model.fixed_program)
    lines.append(
        f"place: {placed['neurons']:,} neurons, {placed['synapses']:,} synapses, at least {placed['cores']} of "
        f"{placed['chip']['cores']} cores, {placed['latency_steps']} steps behind the graph"
    )
    lines += [f"  too large: {line}" for line in placed["too_large"]]
    return "\n".join(lines)


def _program(program: Program) -> list[str]:
    lines = []
    for p in program.populations:
        bias = f"  bias {_range(p.bias)}" + (f" << {p.bias_exp}" if program.precision == "fixed" else "")
        onsets = "".join(f"  current {_range(values)} from step {onset}" for onset, values in p.currents)
        what = f"  vth {_range(p.vth)}" if p.emits == "spikes" else "  never fires"
        decays = f"du {_range(p.du)}  dv {_range(p.dv)}"
        lines.append(f"  {p.name}: {p.size} neurons  {decays}{what}{bias}{onsets}  depth {p.depth}")
    for q in program.projections:
        values = q.weights.values
        weights = f"{np.count_nonzero(values):,} weights {_range(values)}  lag {q.lag}  delay {q.delay}"
        weights += f"  times 2^{q.exponent}" if q.exponent else ""
        lines.append(f"  {q.source} -> {q.target}: {q.weights.form} {_shape(q.weights.shape)}  {weights}")
    return lines


def _range(values: Any) -> str:
    array = np.asarray(values, np.float64)
    low, high = array.min(initial=np.inf), array.max(initial=-np.inf)
    return f"{low:.6g}" if low == high else f"{low:.6g} .. {high:.6g}"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
