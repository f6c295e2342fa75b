"""What the table of targets says is what happens when such a graph is run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuroprompt.compiler.lower import lower, stimulus
from neuroprompt.compiler.quantise import quantise
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.simulators.nir_support import STEPS, features, supported
from neuroprompt.spiking.program import SpikingModel


def run_both(target: SpikingTarget, model: SpikingModel, inputs: Any) -> None:
    """In float, and its integers are fitted where it has them."""
    target.run(model, inputs, "float")
    if "fixed" in target.precisions:
        quantise(model.float_program)


@pytest.mark.parametrize("name", ["reference", "snntorch", "loihi"])
def test_the_table_is_what_happens(name: str) -> None:
    target = SpikingTarget.named(name)
    said = supported(target).reasons
    assert set(said) == set(features())
    for feature, graph in features().items():
        program = lower(graph, STEPS)
        model, inputs = SpikingModel(graph, program, program), stimulus(program)
        if said[feature]:
            with pytest.raises(Unsupported) as caught:
                run_both(target, model, inputs)
            assert str(caught.value) == said[feature]
            continue
        found = target.run(model, inputs, "float")
        reference = SpikingTarget.named("reference")
        right = reference.run(model, inputs, "float")
        assert any(s.any() for s in (*right.spikes.values(), *right.values.values())), feature
        for node, spikes in right.spikes.items():
            assert np.array_equal(spikes, found.spikes[node]), feature


def test_the_chip_refuses_what_it_has_not() -> None:
    said = supported(SpikingTarget.named("lava")).reasons
    assert [feature for feature, reason in said.items() if reason] == [
        *("LI between", "v_reset", "CubaLIF, its reset subtracts"),
    ]
