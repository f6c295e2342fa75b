"""What bundles of NIR graphs share: what their manifest says of the graph, and how its programs were checked."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import nir

from neuroprompt.compiler.reading import reading_of
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import ParityError
from neuroprompt.progress import Progress
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.program import SpikingModel

PACKAGES = ("neuroprompt-toolkit", "nir", "numpy", "scipy")
"""What a graph is compiled with."""


def about_graph(graph: nir.NIRGraph, name: str, model: SpikingModel) -> dict[str, Any]:
    """What the manifest of a bundle says of its graph, called `name`, and the versions of what compiled it."""
    reading = reading_of(graph)
    return {
        "graph": name,
        "dt_s": reading.dt,
        "reading": reading.json(),
        "steps": model.steps,
        "inputs": model.float_program.inputs,
        "neurons": sum(p.size for p in model.fixed_program.populations),
        "versions": {package: metadata.version(package) for package in PACKAGES},
        **({} if model.tuned is None else {"tuned": model.tuned.untimed()}),
    }


def tuned_figures(model: SpikingModel) -> dict[str, Any]:
    """What tuning changed, and how long it took; nothing where it was not asked for."""
    return {} if model.tuned is None else {"tuned": model.tuned.json()}


def checked_programs(model: SpikingModel, inputs: Floats, progress: Progress) -> dict[str, Any]:
    """How the programs of a model compare with the reference on `inputs` (T, n_in), on our emulator.

    Raises ParityError where spikes of the float program differ for no known cause.
    """
    verified = verify(model, inputs, targets=["loihi"], progress=progress)
    floats = verified.targets["loihi-float"]
    if floats.spike_exact != 1.0 and floats.cause is None:
        got = f"{floats.spike_exact:.4%} of the float program's spikes match, for no known cause"
        raise ParityError(got, "100 %, before a file appears")
    checked: dict[str, Any] = verified.untimed().json()["targets"]
    return checked
