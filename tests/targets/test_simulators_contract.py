"""What every simulator of the field promises: the spikes of the definition, and one line for what it cannot run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.simulators.side_packages import SidePackagesTarget
from neuroprompt.spiking.program import Population, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

OWN_RUNTIMES = [name for name in SpikingTarget.names() if issubclass(SpikingTarget.part(name), OwnRuntimeTarget)]
SIDE_PACKAGES = [name for name in OWN_RUNTIMES if issubclass(SpikingTarget.part(name), SidePackagesTarget)]
VERSIONS = {
    "nengo": "nengo 4.1.0",
    "norse": "norse 1.1.0",
    "rockpool": "rockpool 3.1.0",
    "sinabs": "sinabs 3.1.3",
    "spikingjelly": "spikingjelly 2.0.0",
    "spyx": "spyx 1.0.0",
}


def test_all_simulators_in_packages_of_their_own_are_tested_here() -> None:
    assert {"norse", *SIDE_PACKAGES} == set(VERSIONS)


@pytest.mark.parametrize("name", VERSIONS)
def test_every_spike_is_that_of_the_definition(
    name: str, overlaid: Callable[[str], SpikingTarget], agrees: Callable[..., tuple[int, ...]]
) -> None:
    """Where resets write a value, and where they subtract: at the spike, and a step later where the library can.

    All nets are one run: to start a library takes longer than they do.
    """
    late: tuple[str, ...] = () if name in ("rockpool", "spikingjelly") else ("late",)
    kinds = ("IF", "LIF", "CubaLIF", "CubaIF")
    subtracted, their_spikes, nets, spikes = agrees(
        overlaid(name), kinds=kinds, runs=1, together=80, subtracting=("subtract", *late), beside=230
    )
    assert nets >= 200
    assert spikes > 10_000
    assert subtracted >= 60
    assert their_spikes > 4_000


@pytest.mark.parametrize("name", VERSIONS)
def test_it_is_there_with_its_version(name: str, overlaid: Callable[[str], SpikingTarget]) -> None:
    here = overlaid(name).available()
    assert here.ok
    assert here.version == VERSIONS[name]


@pytest.mark.parametrize("name", OWN_RUNTIMES)
def test_without_its_packages_it_says_what_to_type(
    name: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path))
    here = SpikingTarget.part(name).available()
    assert not here.ok
    assert here.fix == f"run 'neuroprompt targets install {name}'"


@pytest.mark.parametrize("name", OWN_RUNTIMES)
def test_a_time_limit_is_above_zero(name: str) -> None:
    with pytest.raises(BadSetting, match="time_limit 0"):
        SpikingTarget.named(name, time_limit=0)


@pytest.mark.parametrize("name", VERSIONS)
def test_inputs_of_another_width_are_one_line(name: str, model_of: Callable[..., SpikingModel]) -> None:
    population = Population("p", 2, du=1.0, dv=0.0, vth=1.0, bias=np.zeros(2))
    model = model_of(2, population, Projection("input", "p", Weights(np.ones(2))))
    with pytest.raises(Unsupported, match=r"inputs of shape \(4, 3\)"):
        SpikingTarget.named(name).run(model, np.ones((4, 3)), "float")


# --- what is particular to one ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "population", "what"),
    [
        (
            "rockpool",
            Population("p", 2, du=1.0, dv=0.0, vth=np.array([1.0, 0.0]), bias=np.zeros(2)),
            "'p' has a threshold of 0; expected thresholds above 0",
        ),
        (
            "spyx",
            Population("p", 2, du=1.0, dv=np.array([0.5, 1.5]), vth=1.0, bias=np.zeros(2)),
            r"'p' has a leak with decay 1\.5; expected 0 to 1",
        ),
    ],
)
def test_what_its_neurons_cannot_do_is_one_line_with_the_node(
    name: str, population: Population, what: str, model_of: Callable[..., SpikingModel]
) -> None:
    model = model_of(2, population, Projection("input", "p", Weights(np.ones(2))))
    with pytest.raises(Unsupported, match=what):
        SpikingTarget.named(name).run(model, np.ones((4, 2)), "float")
