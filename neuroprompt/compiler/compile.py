"""The compiler in one call: from a NIR graph to a spiking model in all its forms, without torch."""

from __future__ import annotations

import nir

from neuroprompt.compiler.carried import carried
from neuroprompt.compiler.flatten import Flat
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.quantise import quantise
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.graph import steps_of
from neuroprompt.spiking.program import SpikingModel


def model_of_graph(
    graph: nir.NIRGraph,
    steps: int | None = None,
    inputs: Floats | None = None,
    scale: float | None = None,
    largest: float = 0.0,
    *,
    split_signs: bool = False,
    input_scale: float | None = None,
    progress: Progress = SILENT,
) -> SpikingModel:
    """A NIR graph of any origin with its float and its integer program; `steps` where its metadata does not say.

    `inputs` (T, n_in), `scale`, `input_scale` and `largest` as in `neuroprompt.compiler.quantise.quantise`.

    Where the graph carries integers that fit (`neuroprompt.compiler.carried`), and no other argument asks for others,
    they are taken as they are.

    `split_signs` keeps 8 bits of weights of both signs, as two lists of synapses (`neuroprompt.compiler.split`).
    """
    program = lower(graph, steps_of(graph) if steps is None else steps)
    free = scale is None and input_scale is None and not largest and not split_signs
    if free and (own := carried(graph, program, inputs)) is not None:
        return SpikingModel(graph, program, own.program, own.report)
    fixed, report = quantise(program, inputs, scale, largest, progress, split=split_signs, input_scale=input_scale)
    return SpikingModel(graph, program, fixed, report)


def floats_of_graph(graph: nir.NIRGraph | Flat, inputs: Floats, *, split_signs: bool = False) -> SpikingModel:
    """`model_of_graph` for inputs (T, n_in) of any kind: where no integers can be fitted on them it is float alone."""
    program = lower(graph, len(inputs))
    graph = graph.graph if isinstance(graph, Flat) else graph
    if not split_signs and (own := carried(graph, program, inputs)) is not None:
        return SpikingModel(graph, program, own.program, own.report)
    try:
        fixed, report = quantise(program, inputs, split=split_signs)
    except Unsupported as quantisation_error:
        return SpikingModel(graph, program, program, quantisation_error=quantisation_error)
    return SpikingModel(graph, program, fixed, report)
