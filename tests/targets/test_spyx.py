"""Real spyx neurons against the definition, spike by spike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neuroprompt.contracts.deployment import SpikingTarget, Target
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.spiking.program import Population, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights


@pytest.fixture
def spyx(overlaid: Callable[[str], SpikingTarget]) -> SpikingTarget:
    return overlaid("spyx")


def test_every_spike_is_that_of_the_definition(spyx: SpikingTarget, agrees: Callable[..., tuple[int, int]]) -> None:
    nets, spikes = agrees(spyx, kinds=("IF", "LIF", "CubaLIF", "CubaIF"), runs=1, together=230)
    assert nets >= 200
    assert spikes > 10_000


def test_it_is_there_and_told_with_its_version(spyx: SpikingTarget) -> None:
    there = spyx.available()
    assert there.ok
    assert there.version == "spyx 1.0.0"


def test_without_its_packages_it_says_what_to_type(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path))
    there = Target.part("spyx").available()
    assert not there.ok
    assert there.fix == "run 'neuroprompt targets install spyx'"


def test_wrong_input_is_one_line(model_of: Callable[..., SpikingModel]) -> None:
    with pytest.raises(BadSetting, match="time_limit 0"):
        Target.named("spyx", time_limit=0)
    target = SpikingTarget.named("spyx")
    one = Population("one", 2, du=1.0, dv=0.0, vth=1.0, bias=np.zeros(2))
    with pytest.raises(Unsupported, match=r"inputs of shape \(4, 3\)"):
        target.run(model_of(2, one, Projection("input", "one", Weights(np.ones(2)))), np.ones((4, 3)), "float")


def test_a_decay_that_spyx_would_clip_is_refused_by_name(model_of: Callable[..., SpikingModel]) -> None:
    target = SpikingTarget.named("spyx")
    fast = Population("fast", 2, du=1.0, dv=np.array([0.5, 1.5]), vth=1.0, bias=np.zeros(2))
    with pytest.raises(Unsupported, match=r"'fast' has a leak with decay 1\.5; expected 0 to 1"):
        target.run(model_of(2, fast, Projection("input", "fast", Weights(np.ones(2)))), np.ones((4, 2)), "float")
