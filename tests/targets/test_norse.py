"""Real Norse neurons against the definition, spike by spike."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neuroprompt.contracts.deployment import SpikingTarget, Target

pytest.importorskip("norse", reason="the optional package norse is not installed")


@pytest.fixture
def norse() -> SpikingTarget:
    return SpikingTarget.named("norse")


def test_every_spike_is_that_of_the_definition(norse: SpikingTarget, agrees: Callable[..., tuple[int, int]]) -> None:
    nets, spikes = agrees(norse, kinds=("IF", "LIF", "CubaLIF", "CubaIF"))
    assert nets >= 200
    assert spikes > 10_000


def test_it_is_there() -> None:
    there = Target.part("norse").available()
    assert there.ok
    assert there.version.startswith("norse ")
