"""The compiler in one call: from a NIR graph to a spiking model in all its forms, without torch."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

import nir
from numpy.typing import NDArray

from neuroprompt.compiler.carried import carried
from neuroprompt.compiler.flatten import Flat
from neuroprompt.compiler.kept import Search, once
from neuroprompt.compiler.lower import lower, stimulus
from neuroprompt.compiler.measure import jaccard_by_layer
from neuroprompt.compiler.quantise import quantise
from neuroprompt.compiler.tune import Lessons
from neuroprompt.contracts.deployment import Floats
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.graph import steps_of
from neuroprompt.spiking.program import Program, SpikingModel
from neuroprompt.spiking.tuned import Tuned


def model_of_graph(
    graph: nir.NIRGraph,
    steps: int | None = None,
    inputs: Floats | None = None,
    scale: float | None = None,
    largest: float = 0.0,
    *,
    split_signs: bool = False,
    wide: Wide | None = None,
    input_scale: float | None = None,
    progress: Progress = SILENT,
) -> SpikingModel:
    """A NIR graph of any origin with its float and its integer program; `steps` where its metadata does not say.

    `inputs` (T, n_in), `scale`, `input_scale` and `largest` as in `neuroprompt.compiler.quantise.quantise`.

    Where the graph carries integers that fit (`neuroprompt.compiler.carried`), and no other argument asks for others,
    they are taken as they are.

    `split_signs` keeps 8 bits of weights of both signs, as two lists of synapses (`neuroprompt.compiler.split`).
    With `wide` weights may have more (`neuroprompt.compiler.wide`), and what was found is kept for the next time
    (`neuroprompt.compiler.kept`).
    """
    program = lower(graph, steps_of(graph) if steps is None else steps)
    free = scale is None and input_scale is None and not largest and not split_signs and wide is None
    if free and (own := carried(graph, program, inputs)) is not None:
        return SpikingModel(graph, program, own.program, own.report, fitted_on=_batch(inputs, 1))
    if wide is not None and scale is None and input_scale is None and not split_signs:
        fixed, report = _wide(program, inputs, wide, progress, largest=largest, runs=1)
    else:
        fixed, report = quantise(
            program, inputs, scale, largest, progress, split=split_signs, wide=wide, input_scale=input_scale
        )
    return SpikingModel(graph, program, fixed, report, fitted_on=_batch(inputs, 1))


def calibrated(
    graph: nir.NIRGraph,
    inputs: Floats,
    *,
    split_signs: bool = False,
    wide: Wide | None = None,
    tuning: Tuning | None = None,
    progress: Progress = SILENT,
) -> tuple[SpikingModel, Floats]:
    """The model of a graph with integers fitted on one run (T, n_in), or on all of a batch (B, T, n_in).

    Also one run to try it with, the first. With `tuning` the integers learn from the float net on a part of the batch.
    Raises Unsupported, naming the node, where there are no such integers.
    """
    if tuning is not None:
        return tuned_model(graph, inputs, tuning, split_signs=split_signs, wide=wide, progress=progress), inputs[0]
    if inputs.ndim == 2:
        return model_of_graph(graph, len(inputs), inputs, split_signs=split_signs, wide=wide, progress=progress), inputs
    progress.say("fitting the integers")
    model = model_of_items(graph, inputs, split_signs=split_signs, wide=wide, progress=progress)
    if model.quantisation_error is not None:
        raise model.quantisation_error
    return model, inputs[0]


def tuned_model(
    graph: nir.NIRGraph | Flat,
    items: Floats,
    tuning: Tuning,
    *,
    split_signs: bool = False,
    wide: Wide | None = None,
    progress: Progress = SILENT,
) -> SpikingModel:
    """`model_of_items` whose integers are also tuned (`neuroprompt.compiler.tune`) on the runs of a batch (B, T, n_in).

    `tuned` of the model has how often they fire as float does on the runs that were held out, with tuning and without.
    Where that is not more with tuning, on average over all populations, the integers are those of `model_of_items`.
    Raises BadSetting for a single run, Unsupported where there are no integers.
    """
    runs, held_out = tuning.split(len(items) if items.ndim == 3 else 1)
    begun = time.monotonic()
    before = model_of_items(graph, items[runs], split_signs=split_signs, wide=wide, progress=progress)
    if before.quantisation_error is not None:
        raise before.quantisation_error
    lessons = Lessons(before.float_program, items[held_out], tuning, wide, progress)
    steps, lines = items.shape[1:]
    floats = replace(before.float_program, steps=len(runs) * steps)
    fixed, report = quantise(
        floats,
        items[runs].reshape(-1, lines),
        split=split_signs,
        wide=wide,
        runs=len(runs),
        lessons=lessons,
        progress=progress,
    )
    after = replace(before, fixed_program=replace(fixed, steps=steps), scale_report=report)
    without, tuned = (jaccard_by_layer(model, items[held_out]) for model in (before, after))
    kept = sum(tuned.values()) > sum(without.values())
    if not kept:  # then no run need be held out
        after = model_of_items(graph, items, split_signs=split_signs, wide=wide, progress=progress)
    changes = Tuned(tuning.rounds, len(runs), len(held_out), without, tuned, kept, time.monotonic() - begun)
    return replace(after, tuned=changes)


def model_of_items(
    graph: nir.NIRGraph | Flat,
    items: NDArray[Any],
    largest: float = 0.0,
    *,
    split_signs: bool = False,
    wide: Wide | None = None,
    progress: Progress = SILENT,
) -> SpikingModel:
    """`floats_of_graph` for a batch of runs (B, T, n_in): its integers are fitted on all of them, each from rest.

    The model runs T steps. `largest` is the largest number that a line may carry, where inputs are no spikes.
    """
    runs, steps, lines = items.shape
    model = floats_of_graph(
        graph,
        items.reshape(runs * steps, lines),
        largest,
        split_signs=split_signs,
        wide=wide,
        runs=runs,
        progress=progress,
    )
    floats, fixed = (replace(p, steps=steps) for p in (model.float_program, model.fixed_program))
    return replace(model, float_program=floats, fixed_program=fixed)


def floats_of_graph(
    graph: nir.NIRGraph | Flat,
    inputs: Floats,
    largest: float = 0.0,
    *,
    split_signs: bool = False,
    wide: Wide | None = None,
    runs: int = 1,
    progress: Progress = SILENT,
) -> SpikingModel:
    """`model_of_graph` for inputs (T, n_in) of any kind: where no integers can be fitted on them it is float alone."""
    program = lower(graph, len(inputs))
    graph = graph.graph if isinstance(graph, Flat) else graph
    if not split_signs and wide is None and (own := carried(graph, program, inputs)) is not None:
        return SpikingModel(graph, program, own.program, own.report, fitted_on=_batch(inputs, runs))
    try:
        if wide is not None and not split_signs:
            fixed, report = _wide(program, inputs, wide, progress, largest=largest, runs=runs)
        else:
            fixed, report = quantise(
                program, inputs, largest=largest, progress=progress, split=split_signs, wide=wide, runs=runs
            )
    except Unsupported as quantisation_error:
        return SpikingModel(
            graph, program, program, quantisation_error=quantisation_error, fitted_on=_batch(inputs, runs)
        )
    return SpikingModel(graph, program, fixed, report, fitted_on=_batch(inputs, runs))


def _batch(inputs: Floats | None, runs: int) -> NDArray[Any] | None:
    """Inputs (R T, n_in) as (R, T, n_in)."""
    return None if inputs is None else inputs.reshape(runs, -1, inputs.shape[-1])


def _wide(
    program: Program, inputs: Floats | None, wide: Wide, progress: Progress, *, largest: float, runs: int
) -> tuple[Program, dict[str, Any]]:
    """The integers with wide weights, of this search or of an equal one before it."""
    inputs = stimulus(program) if inputs is None else inputs
    options = (*sorted(asdict(wide).items()), ("largest", largest), ("runs", runs))
    fixed, report, kept = once(
        Search(program, inputs, options),
        lambda: quantise(program, inputs, largest=largest, progress=progress, wide=wide, runs=runs),
    )
    if kept:
        progress.say("the integers are those of an equal search before")
    return fixed, report
