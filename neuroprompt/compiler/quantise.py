"""Quantise: from a float program to Loihi's integers, population by population, and a report of what that changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import floor
from typing import Any

import numpy as np

from neuroprompt.compiler.assemble import assembled
from neuroprompt.compiler.constant import fit_constant
from neuroprompt.compiler.fit import Fitted, Task, at_scale, one_after_another
from neuroprompt.compiler.graded import LEAST_JACCARD, best_share
from neuroprompt.compiler.lists import ANY
from neuroprompt.compiler.lower import stimulus
from neuroprompt.compiler.measure import likeness, rounding_noise
from neuroprompt.compiler.report import label, numbers_report, population_report, projection_report
from neuroprompt.compiler.schedule import check_chip, check_reset
from neuroprompt.compiler.search import search
from neuroprompt.compiler.shares import Share, scale_of_lines
from neuroprompt.compiler.split import split_signs
from neuroprompt.compiler.tasks import Tasks
from neuroprompt.compiler.tune import Lessons
from neuroprompt.compiler.wide import search_wide
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.loihi.arithmetic import Array, simulate
from neuroprompt.loihi.neurons import Trace
from neuroprompt.loihi.ranges import check_range
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.program import Program, is_spikes

FEWEST_SPIKES = 5
"""Fewer spikes of the last neurons may be lost: a potential near its threshold is on the other side when rounded."""


def quantise(
    program: Program,
    inputs: Array | None = None,
    scale: float | None = None,
    largest: float = 0.0,
    progress: Progress = SILENT,
    *,
    split: bool = False,
    wide: Wide | None = None,
    runs: int = 1,
    input_scale: float | None = None,
    lessons: Lessons | None = None,
) -> tuple[Program, dict[str, Any]]:
    """The integer program that fires most like `program` (float) on `inputs` (T, n_in), and the scale report.

    T may be the steps of several `runs` of equal length, one after the other, each from rest.

    Each population has a free scale s, in weight units per unit of the float model:

        weights = round(w s), even where signs are mixed;  vth = round(thr s);  bias = round(b s);  dv = round(4096 dv)

    Populations are fitted in order, each on the integer spikes of those before it, on its own where they return to it,
    and on the float spikes of those that come later in a cycle. A population under a constant current is fitted neuron
    by neuron, and is exact wherever the 13-bit bias can say its period (see `fit_constant`). With `scale` given (and
    `input_scale`, of numbers on the lines) nothing is searched or clipped: what does not fit raises OutOfRange.

    Lines that carry numbers become whole numbers too, round(x input_scale), which share the bits with their weights
    (`neuroprompt.compiler.graded`). Numbers up to twice as large as those of `inputs` fit; with `largest` given, those
    of at most that magnitude. With `split` weights of both signs become two projections, a bit finer
    (`neuroprompt.compiler.split`); with `wide` populations that spikes reach get the lists that
    they need (`neuroprompt.compiler.wide`). With `lessons` they are tuned (`neuroprompt.compiler.tune`).

    Raises Unsupported, naming the node, for what the chip's integers cannot hold, where the spikes of a node that
    numbers reach agree with float in less than a Jaccard index of 0.97, and where a net that fires, or the last
    neurons of it, never do on the chip.
    """
    if program.precision != "float":
        raise BadSetting("a program that is fixed already", "a float program")
    for name, value in (("scale", scale), ("input_scale", input_scale)):
        if value is not None and not value > 0:
            raise BadSetting(f"{name} {value}", "a number above 0")
    if wide is not None and (split or scale is not None):
        raise BadSetting("--weight-bits beside --split-signs or a scale", "one of them", "--weight-bits splits signs")
    check_chip(program)
    check_reset(program, "Loihi's neurons")
    inputs = stimulus(program) if inputs is None else inputs
    wanted = _simulated(program, inputs, runs)
    program = split_signs(program) if split else program
    tasks = Tasks(program, inputs, wanted, runs)
    if lessons is not None:
        lessons.of(program)
    graded = largest > 0 or input_scale is not None or not is_spikes(inputs)
    share = _share(tasks, largest, scale, input_scale) if graded else None
    report: dict[str, Any] = {"populations": {}, "projections": {}}
    tasks_of: dict[str, Task] = {}
    fits: dict[str, Fitted] = {}
    for population in progress.track(program.populations, "fitting the integers"):
        task = tasks.of(population, share)
        fitted = _fit(task, scale, share, wide)
        if lessons is not None:
            fitted = lessons.tuned(task, fitted, share)
        if scale is None:
            _check_numbers(task, fitted)
        tasks.done[population.name] = fitted.trace.spikes
        tasks_of[population.name], fits[population.name] = task, fitted
    if lessons is not None:
        tasks_of, fits = lessons.together(tasks, tasks_of, fits, share)
    for name, task in tasks_of.items():
        report["populations"][name] = population_report(task, fits[name])
        report["projections"] |= dict(_projection_reports(task, fits[name]))
    fixed = assembled(program, fits, share.input_scale if share else 0.0)
    check_range(fixed)
    chip = _simulated(fixed, inputs, runs)
    _check_alive(program, wanted, chip)
    firing = [p.name for p in program.populations if p.emits == "spikes"]
    entries = sum(wanted[name].spikes.size for name in firing)
    equal = sum(int((wanted[name].spikes == chip[name].spikes).sum()) for name in firing)
    report["spike_match"] = equal / entries if entries else 1.0
    return fixed, report


def _simulated(program: Program, inputs: Array, runs: int) -> dict[str, Trace]:
    if runs == 1:
        return simulate(program, inputs)
    steps = len(inputs) // runs
    traces = simulate(replace(program, steps=steps), inputs.reshape(runs, steps, inputs.shape[1]))
    return {name: one_after_another(trace) for name, trace in traces.items()}


def _share(tasks: Tasks, largest: float, scale: float | None, input_scale: float | None) -> Share | None:
    """How numbers and their weights share the bits; None where no population hears numbers."""
    reached = tasks.that_numbers_reach()
    if not reached:
        return None
    if scale is None:
        return best_share(reached, tasks.inputs, largest)
    lines = input_scale or scale_of_lines(reached, tasks.inputs, scale)
    return Share(lines, {task.population.name: scale for task in reached}, ANY)


def _fit(task: Task, scale: float | None, share: Share | None, wide: Wide | None) -> Fitted:
    if scale is not None:
        return at_scale(task, scale, clip=False, of_numbers=ANY)
    if share is not None and task.population.name in share.scales:
        return share.fit(task)
    p = task.population
    constant = not task.incoming and not p.currents and p.emits == "spikes" and np.ndim(p.dv) == 0
    if constant:
        return fit_constant(task)
    return search(task) if wide is None or not task.incoming else search_wide(task, wide)


def _check_numbers(task: Task, fitted: Fitted) -> None:
    """Raise Unsupported where numbers reach a node that the chip's integers cannot say."""
    if task.population.emits == "v" or not any(map(task.carries_numbers, task.incoming)):
        return
    jaccard, noise = likeness(task, fitted), rounding_noise(task, fitted.lists, fitted.scale)
    if jaccard < LEAST_JACCARD:
        got = f"numbers reach node {task.population.name!r}, and rounding changes what arrives by {noise:.2%}"
        got += f": its spikes have a Jaccard index of {floor(jaccard * 1e4) / 1e4:g} with those in float"
        fix = (
            "fewer lines or steps, inputs as spikes (export --encode), or weights trained in the integers (loihi_aware)"
        )
        raise Unsupported(got, f"at least {LEAST_JACCARD:g}", fix)


def _check_alive(program: Program, wanted: dict[str, Trace], chip: dict[str, Trace]) -> None:
    """Raise Unsupported where a net fires in float and never on the chip, or neurons at its end do: names the first."""
    firing = {p.name for p in program.populations if p.emits == "spikes"}
    ends = firing - {q.source for q in program.projections if q.target in firing and q.target != q.source}
    silent = not any(trace.spikes.any() for trace in chip.values())
    fewest = 1 if silent else FEWEST_SPIKES
    lost = [name for name, trace in wanted.items() if trace.spikes.sum() >= fewest and not chip[name].spikes.any()]
    if lost and (silent or ends.intersection(lost)):
        got = f"node {lost[0]!r} fires {int(wanted[lost[0]].spikes.sum())} times in float, and "
        got += "no node fires on the chip" if silent else "never on the chip"
        fix = "weights of more equal sizes, a threshold that is nearer to them, or --weight-bits auto"
        raise Unsupported(got, "spikes on the chip", fix)


def _projection_reports(task: Task, fitted: Fitted) -> Iterator[tuple[str, dict[str, Any]]]:
    for i, (q, lists, x) in enumerate(zip(task.incoming, fitted.lists, task.arriving, strict=True)):
        if x is not None and task.carries_numbers(q):
            yield label(q, task.incoming), numbers_report(task, i, fitted, x)
        else:
            yield label(q, task.incoming), projection_report(q, lists, fitted.scale)
