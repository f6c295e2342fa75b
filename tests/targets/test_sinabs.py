"""Real sinabs neurons against the definition, spike by spike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neuroprompt.contracts.deployment import SpikingTarget, Target
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.spiking.program import Population, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights


@pytest.fixture
def sinabs(overlaid: Callable[[str], SpikingTarget]) -> SpikingTarget:
    return overlaid("sinabs")


def test_every_spike_is_that_of_the_definition(sinabs: SpikingTarget, agrees: Callable[..., tuple[int, int]]) -> None:
    nets, spikes = agrees(sinabs, kinds=("IF", "LIF", "CubaLIF", "CubaIF"), runs=1, together=230)
    assert nets >= 200
    assert spikes > 10_000


def test_it_is_there_and_told_with_its_version(sinabs: SpikingTarget) -> None:
    there = sinabs.available()
    assert there.ok
    assert there.version == "sinabs 3.1.3"


def test_without_its_packages_it_says_what_to_type(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path))
    there = Target.part("sinabs").available()
    assert not there.ok
    assert there.fix == "run 'neuroprompt targets install sinabs'"


def test_wrong_input_is_one_line(model_of: Callable[..., SpikingModel]) -> None:
    with pytest.raises(BadSetting, match="time_limit 0"):
        Target.named("sinabs", time_limit=0)
    target = SpikingTarget.named("sinabs")
    one = Population("one", 2, du=1.0, dv=0.0, vth=1.0, bias=np.zeros(2))
    with pytest.raises(Unsupported, match=r"inputs of shape \(4, 3\)"):
        target.run(model_of(2, one, Projection("input", "one", Weights(np.ones(2)))), np.ones((4, 3)), "float")
