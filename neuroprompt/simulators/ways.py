"""Ways: how near a graph's integers are to float, by layer: with 8 bits, with signs split, and with wide weights."""

from __future__ import annotations

from neuroprompt.compiler.carried import without_integers
from neuroprompt.compiler.compile import floats_of_graph
from neuroprompt.compiler.measure import jaccard_by_layer
from neuroprompt.contracts.deployment import Floats
from neuroprompt.contracts.wide import Wide
from neuroprompt.spiking.program import SpikingModel

EIGHT, SPLIT = "8 bits", "split signs"


def jaccard_of_ways(fitted: SpikingModel, inputs: Floats, wide: Wide) -> dict[str, dict[str, float]]:
    """By way, and by population that fires, the Jaccard index of its spikes with float's on `inputs` (T, n_in).

    `fitted` are the integers for `wide`. A way without integers is left out.
    """
    graph = without_integers(fitted.graph)
    models = {
        EIGHT: floats_of_graph(graph, inputs),
        SPLIT: floats_of_graph(graph, inputs, split_signs=True),
        f"up to {wide.bits} bits": fitted,
    }
    return {way: jaccard_by_layer(m, inputs) for way, m in models.items() if m.quantisation_error is None}
