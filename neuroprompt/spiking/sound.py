"""Sound: whether the parts of a program that was read from a file fit each other, before anything runs on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from neuroprompt.spiking.program import Population, Program, Projection


def check_sound(program: Program) -> None:
    """Raises ValueError, which names the part, where a type or a shape is not what a program has."""
    _need(program.precision in ("float", "fixed"), f"precision {program.precision!r}")
    _need(program.chip in ("loihi1", "loihi2", "xylo"), f"chip {program.chip!r}")
    of_input = f"{program.steps!r} steps of {program.inputs!r} lines"
    _need(_whole(program.steps, 1) and _whole(program.inputs, 0), of_input)
    _need(_real(program.input_scale), f"input scale {program.input_scale!r}")
    sizes = {"input": program.inputs}
    for p in program.populations:
        _check_population(p, program)
        _need(p.name not in sizes, f"two nodes with the name {p.name!r}")
        sizes[p.name] = p.size
    for q in program.projections:
        _check_projection(q, sizes, program.precision)


def _check_population(p: Population, program: Program) -> None:
    precision, own = program.precision, program.precision == "float" or program.chip == "xylo"
    _need(isinstance(p.name, str), f"the name {p.name!r}")
    _need(_whole(p.size, 1) and _whole(p.depth, 0) and _whole(p.bias_exp, 0), f"size, depth or exponent of {p.name!r}")
    _need(p.emits in ("spikes", "v") and isinstance(p.hold, bool) and _real(p.unit), f"what {p.name!r} emits")
    _need(p.reset in ("value", *(("subtract", "late") if own else ())), f"the reset of {p.name!r}")
    for key in ("du", "dv", "vth", "v_reset", "bias"):
        values = np.asarray(getattr(p, key))
        _need(_numbers(values, precision) and values.shape in ((), (p.size,)), f"{key} of {p.name!r}")
    for onset, values in p.currents:
        _need(_whole(onset, 0) and _numbers(values, precision) and values.shape == (p.size,), f"currents of {p.name!r}")


def _check_projection(q: Projection, sizes: dict[str, int], precision: str) -> None:
    way = f"{q.source!r} to {q.target!r}"
    _need(q.source in sizes and q.target in sizes and q.target != "input", f"a projection from {way}")
    _need(_whole(q.lag, 0) and _whole(q.delay, 0) and _whole(q.exponent), f"lag, delay or exponent from {way}")
    _need(_numbers(q.weights.values, precision), f"the weights from {way}")
    _need(q.weights.shape == (sizes[q.target], sizes[q.source]), f"the shape of the weights from {way}")


def _numbers(values: Any, precision: str) -> bool:
    """Whether an array holds what can be computed with: no text, no bytes, and whole numbers on the chip."""
    kinds = "iub" if precision == "fixed" else "iubf"
    return values.dtype.kind in kinds or bool(values.dtype.kind == "f" and np.all(values == np.floor(values)))


def _whole(value: object, least: int | None = None) -> bool:
    return type(value) is int and (least is None or value >= least)


def _real(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} cannot be")
