"""Real Norse neurons against the definition, spike by spike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neuroprompt.contracts import SpikingTarget, Target
from neuroprompt.errors import Unsupported
from neuroprompt.program import Model, Population, Projection

pytest.importorskip("norse", reason="the optional package norse is not installed")


@pytest.fixture
def norse() -> SpikingTarget:
    target = Target.named("norse")
    assert isinstance(target, SpikingTarget)
    return target


def test_every_spike_is_that_of_the_definition(norse: SpikingTarget, agrees: Callable[..., tuple[int, int]]) -> None:
    nets, spikes = agrees(norse, kinds=("IF", "LIF", "CubaLIF", "CubaIF"))
    assert nets >= 200
    assert spikes > 10_000


def test_it_is_there() -> None:
    there = Target.part("norse").available()
    assert there.ok
    assert there.version.startswith("norse ")


def test_a_node_that_leaks_in_part_is_refused(norse: SpikingTarget, model_of: Callable[..., Model]) -> None:
    half = Population("half", 2, du=1.0, dv=np.array([0.0, 0.5]), vth=1.0, bias=np.zeros(2))
    with pytest.raises(Unsupported, match="'half' has neurons that leak beside others"):
        norse.run(model_of(2, half, Projection("input", "half", np.ones(2))), np.ones((4, 2)), "float")
