"""Quantise: from a float program to Loihi's integers, population by population, and a report of what that changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neuroprompt.compiler.constant import fit_constant
from neuroprompt.compiler.fit import Fitted, Task, at_scale, mixed, one_threshold, search
from neuroprompt.compiler.graded import largest_scale, report_graded
from neuroprompt.compiler.lower import stimulus
from neuroprompt.compiler.schedule import check_chip
from neuroprompt.compiler.split import split_signs
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.loihi.arithmetic import MANTISSA, Array, Trace, simulate
from neuroprompt.loihi.ranges import check_range
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.program import Population, Program, Projection, is_spikes


def quantise(
    program: Program,
    inputs: Array | None = None,
    scale: float | None = None,
    largest: float = 0.0,
    progress: Progress = SILENT,
    *,
    split: bool = False,
) -> tuple[Program, dict[str, Any]]:
    """The integer program that fires most like `program` (float) on `inputs` (T, n_in), and the scale report.

    Each population has a free scale s, in weight units per unit of the float model:

        weights = round(w s), even where signs are mixed;  vth = round(thr s);  bias = round(b s);  dv = round(4096 dv)

    Populations are fitted in order, each on the integer spikes of those before it, on its own where they return to it,
    and on the float spikes of those that come later in a cycle. A population under a constant current is fitted neuron
    by neuron, and is exact wherever the 13-bit bias can say its period (see `fit_constant`). With `scale` given nothing
    is searched and nothing clipped: what does not fit raises OutOfRange.

    Lines that carry numbers become whole numbers too, at a scale at which none of at most `largest` (default: the
    largest of `inputs`) in magnitude overflows; see `neuroprompt.compiler.graded`. With `split` weights of both signs
    become two projections, a bit finer (`neuroprompt.compiler.split`). Raises Unsupported, naming the node, for what
    the chip's integers cannot hold.
    """
    if program.precision != "float":
        raise BadSetting("a program that is fixed already", "a float program")
    if scale is not None and not scale > 0:
        raise BadSetting(f"scale {scale}", "a number above 0")
    check_chip(program)
    inputs = stimulus(program) if inputs is None else inputs
    wanted = simulate(program, inputs)
    program = split_signs(program) if split else program
    graded = largest > 0 or not is_spikes(inputs)
    tasks = _Tasks(program, inputs, wanted)
    input_scale = tasks.input_scale(largest or float(np.abs(inputs).max(initial=0)), scale) if graded else 0.0
    report: dict[str, Any] = {"populations": {}, "projections": {}}
    populations: list[Population] = []
    projections: list[Projection] = []
    for population in progress.track(program.populations, "fitting the integers"):
        task = tasks.of(population, input_scale)
        fitted = _fit(task, scale)
        tasks.done[population.name] = fitted.trace.spikes
        populations.append(fitted.population)
        projections += fitted.projections
        report["populations"][population.name] = _population_report(task, fitted)
        for q, f, x in zip(task.incoming, fitted.projections, task.arriving, strict=True):
            if x is not None and q.source == "input" and input_scale:
                said = report_graded(task, q, fitted, x, f.weights)
            else:
                said = _projection_report(q, f, fitted.scale)
            report["projections"][_label(q, task.incoming)] = said
    fixed = replace(
        program,
        precision="fixed",
        populations=tuple(populations),
        projections=tuple(projections),
        input_scale=input_scale,
    )
    check_range(fixed)
    found = simulate(fixed, inputs)
    firing = [p.name for p in program.populations if p.emits == "spikes"]
    cells = sum(wanted[name].spikes.size for name in firing)
    equal = sum(int((wanted[name].spikes == found[name].spikes).sum()) for name in firing)
    report["spike_match"] = equal / cells if cells else 1.0
    return fixed, report


def _label(projection: Projection, incoming: tuple[Projection, ...]) -> str:
    """Source and target, and what tells it from others between the same."""
    lags = [q.lag for q in incoming if q.source == projection.source]
    label = f"{projection.source} -> {projection.target}"
    if len(set(lags)) > 1:
        label += f" (lag {projection.lag})"
    if lags.count(projection.lag) > 1:
        label += " (below 0)" if projection.weights.values.max(initial=0) <= 0 else " (above 0)"
    return label


class _Tasks:
    """What every population is fitted on: `done` are the integer spikes of those that were."""

    def __init__(self, program: Program, inputs: Array, wanted: dict[str, Trace]) -> None:
        self.program, self.inputs, self.wanted = program, inputs, wanted
        self.done: dict[str, Array] = {}

    def of(self, population: Population, input_scale: float = 0.0) -> Task:
        """The task of one population, with one threshold."""
        incoming = tuple(self.program.into(population.name))
        arriving = tuple(self._arriving(q) for q in incoming)
        return one_threshold(Task(population, incoming, arriving, self.wanted[population.name], input_scale))

    def input_scale(self, largest: float, scale: float | None) -> float:
        """The scale of numbers on the input lines: the smallest of those that their populations can take."""
        found = []
        for population in self.program.populations:
            task = self.of(population)
            lines = [q for q in task.incoming if q.source == "input"]
            if len(lines) > 1:
                got = f"numbers that reach node {population.name!r} twice, with different delays"
                raise Unsupported(got, "one way from the input to it", "use spikes as inputs")
            if lines:
                most, each = largest_scale(task, largest)
                found.append(each if scale is None else each * scale / most)
        return min(found, default=0.0)

    def _arriving(self, q: Projection) -> Array | None:
        if q.source == q.target:
            return None
        known = self.inputs if q.source == "input" else self.done.get(q.source, self.wanted[q.source].spikes)
        late = np.zeros_like(known)
        late[q.lag :] = known[: max(0, len(known) - q.lag)]
        return late


def _fit(task: Task, scale: float | None) -> Fitted:
    p = task.population
    numbered = task.input_scale and any(q.source == "input" for q in task.incoming)
    if numbered:
        # What was found for all listeners together is the largest for this one, or less.
        largest, each = largest_scale(task, float(np.abs(task.arriving[0]).max(initial=0)))  # type: ignore[arg-type]
        return at_scale(task, scale or largest * task.input_scale / each, clip=scale is None)
    if scale is not None:
        return at_scale(task, scale, clip=False)
    constant = not task.incoming and not p.currents and p.emits == "spikes" and np.ndim(p.dv) == 0
    return fit_constant(task) if constant else search(task)


def _population_report(task: Task, fitted: Fitted) -> dict[str, Any]:
    population, fixed, trace, spikes = task.population, fitted.population, fitted.trace, task.wanted.spikes
    exact = population.bias * fitted.scale
    saturated = (exact > MANTISSA[1]) | (exact < MANTISSA[0])
    same = (trace.spikes == spikes).all(axis=0)
    within = np.abs(fixed.bias / fitted.scale - population.bias)[~saturated]
    return {
        "scale": fitted.scale,
        "vth": int(fixed.vth),
        "du": _plain(fixed.du),
        "dv": _plain(fixed.dv),
        "bias_bits": _bits(fixed.bias),
        "clipped": int((saturated & ~same).sum()),
        "saturated_harmless": int((saturated & same).sum()),
        "zeroed": int(((population.bias != 0) & (fixed.bias == 0)).sum()),
        "overflow_u": trace.wrapped,
        "overflow_v": trace.clipped,
        "dead": int((spikes.any(axis=0) & ~trace.spikes.any(axis=0)).sum()),
        "max_error": float(within.max(initial=0.0)),
        "spike_match": fitted.match,
    }


def _projection_report(projection: Projection, fixed: Projection, scale: float) -> dict[str, Any]:
    values, whole = projection.weights.values, fixed.weights.values
    exact = values * scale / 2**fixed.exponent
    signed = mixed(values)
    low, high = (-256, 254) if signed else (-255, 255)
    clipped = (np.rint(exact) > high + signed) | (np.rint(exact) < low)
    return {
        "scale": scale,
        "bits": _bits(whole),
        "clipped": int(clipped.sum()),
        "zeroed": int(((values != 0) & (whole == 0)).sum()),
        "odd_to_even": int((np.rint(exact) % 2 != 0).sum()) if signed else 0,
        "exponent": fixed.exponent,
        "max_error": float((np.abs(whole * 2**fixed.exponent / scale - values)).max()),
    }


def _bits(values: Array) -> int:
    """Bits of the largest magnitude, and one for the sign where there is one."""
    return int(np.abs(values).max(initial=0)).bit_length() + int((values < 0).any())


def _plain(decay: Any) -> int | list[int]:
    """One number, or the smallest and largest of several."""
    array = np.asarray(decay)
    return int(array) if array.ndim == 0 else [int(array.min()), int(array.max())]
