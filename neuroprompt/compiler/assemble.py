"""Assemble: the integer program of populations that were fitted one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from neuroprompt.compiler.fit import Fitted
from neuroprompt.spiking.program import Program


def assembled(floats: Program, fits: Mapping[str, Fitted], input_scale: float) -> Program:
    """The float program with its populations, by name, in integers."""
    order = [fits[p.name] for p in floats.populations]
    return replace(
        floats,
        precision="fixed",
        populations=tuple(fitted.population for fitted in order),
        projections=tuple(q for fitted in order for q in fitted.projections),
        input_scale=input_scale,
    )
