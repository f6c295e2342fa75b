"""SANA-FE's own run of a small net: its counters, times our list's prices, give its joules."""

from __future__ import annotations

from typing import Any

import pytest
from float_bounds import gamma, near

from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.estimate import estimate
from neuroprompt.spiking.activity import Activity

SPIKES = ([1, 0, 1, 1, 0], [1, 1, 0, 0, 0])
EVENTS = sum(map(sum, SPIKES))
STEPS, NEURONS = 8, 3
ROUNDINGS = 200
"""SANA-FE adds fewer than 100 terms, one after the other; each sum and each of our products rounds once."""


def simulated(sanafe: Any, threshold: float) -> dict[str, Any]:
    """Two input lines to three neurons on another core of the same tile, so that no message hops."""
    chip, net = sanafe.load_loihi(), sanafe.Network()
    settings = {"threshold": threshold, "leak_decay": 1.0, "reset_mode": "hard"}
    lines = net.create_neuron_group("lines", len(SPIKES))
    neurons = net.create_neuron_group("neurons", NEURONS, model_attributes=settings)
    for neuron in neurons:
        neuron.set_attributes(soma_hw_name="loihi_lif")
        neuron.map_to_core(chip.tiles[0].cores[1])
    for i, line in enumerate(lines):
        line.set_attributes(soma_hw_name=f"loihi_inputs[{i}]", model_attributes={"spikes": SPIKES[i]})
        line.map_to_core(chip.tiles[0].cores[0])
        for neuron in neurons:
            line.connect_to_neuron(neuron, {"weight": 40.0})
    whole = sanafe.SpikingChip(chip)
    whole.load(net)
    result: dict[str, Any] = whole.sim(STEPS)
    return result


@pytest.mark.parametrize(("threshold", "fired"), [(100.0, 3), (30.0, 12), (1e6, 0)])
def test_its_counters_times_our_prices_are_its_joules(sanafe: Any, threshold: float, fired: int) -> None:
    result, prices = simulated(sanafe, threshold), Prices.named("sana-fe-loihi").prices
    energy = result["energy"]
    assert result["neurons_fired"] == fired + EVENTS, "its counters take the input lines for neurons"
    assert energy["synapse"] == near(prices["synops"].joules * NEURONS * EVENTS, ROUNDINGS)
    assert energy["network"] == near(prices["spikes"].joules * result["packets_sent"], ROUNDINGS)
    silent, active = prices["updates_inactive"], prices["updates_active"]
    access, update, spike = silent.range[0], silent.joules - silent.range[0], active.joules - silent.joules
    updated = result["neurons_updated"] - EVENTS
    parts = access * NEURONS * STEPS + update * updated + spike * fired
    assert energy["soma"] == near(parts, ROUNDINGS)


@pytest.mark.parametrize("threshold", [100.0, 30.0, 1e6])
def test_our_estimate_of_the_updates_holds_its_own(sanafe: Any, threshold: float) -> None:
    """Silent neurons may be idle, which our counts do not say: the range has both."""
    result = simulated(sanafe, threshold)
    fired = result["neurons_fired"] - EVENTS
    updates = Activity(updates=NEURONS * STEPS, updates_active=fired)
    low, high = estimate(updates, Prices.named("sana-fe-loihi")).range
    room = gamma(ROUNDINGS)
    assert low * (1 - room) <= result["energy"]["soma"] <= high * (1 + room)
