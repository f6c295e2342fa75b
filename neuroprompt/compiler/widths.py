"""Widths: what weights of more than 8 bits took, population by population, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neuroprompt.compiler.place import place
from neuroprompt.spiking.program import SpikingModel


def width_words(model: SpikingModel) -> list[str]:
    """A line for every population that spikes reach, and one for what the chip has left; none without integers."""
    if model.quantisation_error is not None:
        return []
    placed = place(model.fixed_program)
    left = placed["left"]
    chip = f"{placed['synapses']:,} synapses in all; a Loihi 2 has {left['synapses']:,} left, and {left['cores']} cores"
    return [*_lines(model, placed["populations"]), chip]


def _lines(model: SpikingModel, placed: dict[str, Any]) -> Iterator[str]:
    floats = model.float_program
    for name, population in model.scale_report["populations"].items():
        edges = tuple(f"{q.source} -> {name}" for q in floats.into(name))
        reports = model.scale_report["projections"]
        into = [q for key, q in reports.items() if key.removesuffix(")").rpartition(" (")[0] in edges or key in edges]
        if not into:
            continue
        lists, bits = max(q["lists"] for q in into), max(q["bits"] for q in into)
        single = sum(int(np.count_nonzero(q.weights.values)) for q in floats.into(name))
        synapses = placed[name]["synapses"]
        line = f"{name}: weights of {bits} bits in {lists} list{'s' * (lists > 1)}, {synapses:,} synapses"
        line += f" ({synapses / max(1, single):.2f} of one list's), Jaccard {population['jaccard']:.4f}"
        wrong = (
            (population["overflow_v"], "at the end of v's range"),
            (population["overflow_u"], "in which u wrapped"),
        )
        yield line + "".join(f", {count:,} cells {where}" for count, where in wrong if count)
