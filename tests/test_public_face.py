"""The public face: few names, each importable from `neuroprompt` itself, none of them heavy before its first use."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

import neuroprompt
import neuroprompt.energy.energy
import neuroprompt.report.write

VERBS = {
    "train": "config out progress accelerator devices nodes strategy precision "
    "workers log checkpointing resume checkpoint_seconds",
    "evaluate": "run noises split data ood batch seed progress",
    "sweep": "points out seeds search_seeds noises choose launch engine engine_settings resources progress",
    "export": "what out target inputs split_signs weight_bits agreement tune seed precision calibration_images "
    "max_drop settings progress",
    "run": "bundle images target precision lanes listed out threads batch_size provider graph_level form progress",
    "verify": "model inputs targets progress labels decode reader first",
    "energy": "what generator_prices backbone_prices onnx seconds",
    "bench": "what weights tokens batch rounds threads cpu_time progress",
    "report": "what out noises rounds prices beside neurons targets skip weights known fresh command progress",
    "card": "bundle accuracy prices licence",
    "push": "bundle repo private progress",
    "pull": "repo out revision progress",
}
"""A function for each verb of the command, and its parameters."""
RESULTS = """
    Accuracy Card DataRun EnergyEstimate Exported Labels LatencyBenchmark Predictions Recording Report SpikeCounts
    SpikeRun Sweep Verification
"""
OTHERS = """
    Activity Backbone BackboneSpec Bundle Data Engine Exporter Head NeuropromptError Point Prices Progress
    Prompt Resources Run RunConfig SpikingModel SpikingTarget Target __version__ compare configure grid
    load_model loihi_aware model_of_graph read_graph run_items spike_counts
"""


def test_the_face_is_what_it_was() -> None:
    assert set(neuroprompt.__all__) == {*VERBS, *RESULTS.split(), *OTHERS.split()}


@pytest.mark.parametrize("name", neuroprompt.__all__)
def test_every_name_is_there(name: str) -> None:
    value = getattr(neuroprompt, name)
    assert isinstance(value, str) or callable(value)
    assert isinstance(value, str) or inspect.getdoc(value)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_a_function_of_typed_arguments(name: str) -> None:
    """Also where a room has the same name, and was imported before."""
    verb = getattr(neuroprompt, name)
    assert inspect.isfunction(verb)
    parameters = inspect.signature(verb).parameters
    assert list(parameters) == VERBS[name].split()
    assert all(p.annotation is not inspect.Parameter.empty for p in parameters.values())
    assert inspect.signature(verb).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", RESULTS.split())
def test_a_result_is_frozen_and_prints_as_json(name: str) -> None:
    result: Any = getattr(neuroprompt, name)
    assert result.__dataclass_params__.frozen
    assert name in ("Recording", "SpikeCounts") or callable(result.json)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = neuroprompt.no_such_name  # type: ignore[attr-defined]


def test_importing_it_does_not_import_torch() -> None:
    script = "import sys, neuroprompt, neuroprompt.errors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
