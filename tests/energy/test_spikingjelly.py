"""SpikingJelly 2.0.0's own counters and its four estimators on one net, beside our counts and lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from float_bounds import near
from torch import Tensor, nn

from neuroprompt.contracts.deployment import Prices, Recording
from neuroprompt.energy.count_spikes import count
from neuroprompt.energy.estimate import estimate
from neuroprompt.spiking.activity import Activity
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

pytestmark = [pytest.mark.usefixtures("spikingjelly"), pytest.mark.filterwarnings("ignore")]
STEPS = 7


def net_of() -> Any:
    """Layers as convolutions of one pixel, for SpikeSim's estimator knows no others."""
    from spikingjelly.activation_based import functional, layer, neuron

    first, second = layer.Conv2d(12, 20, 1, bias=False), layer.Conv2d(20, 5, 1, bias=False)
    net = nn.Sequential(first, neuron.IFNode(v_threshold=0.4), second, neuron.IFNode(v_threshold=0.4))
    functional.set_step_mode(net, "m")
    return net.eval()


@torch.no_grad()
def ours(net: Any, x: Tensor) -> Activity:
    from spikingjelly.activation_based import functional

    functional.reset_net(net)
    spikes, names = {}, ("if1", "if2")
    signal = x
    for i, module in enumerate(net):
        signal = module(signal)
        if i % 2:
            spikes[names[i // 2]] = signal.flatten(1).numpy() > 0
    weights = [module.weight.flatten(1).numpy() for module in net if isinstance(module, nn.Conv2d)]
    sizes = (len(w) for w in weights)
    populations = tuple(Population(n, k, 1.0, 0.0, 0.4, np.zeros(k)) for n, k in zip(names, sizes, strict=True))
    projections = (Projection("input", "if1", Weights(weights[0])), Projection("if1", "if2", Weights(weights[1])))
    program = Program("float", STEPS, 12, populations, projections)
    return count(program, Recording(spikes, 0.0), x.flatten(1).numpy()).total


def theirs(estimator: str, net: Any, x: Tensor) -> Any:
    from spikingjelly.activation_based import functional, op_counter

    functional.reset_net(net)
    return getattr(op_counter, f"estimate_{estimator}_energy")(net, x)


def spikes() -> Tensor:
    return (torch.rand(STEPS, 1, 12, 1, 1) < 0.3).float()


def test_synaptic_operations_weights_and_states_are_counted_alike() -> None:
    net, x = net_of(), spikes()
    mine, found = ours(net, x), theirs("simple", net, x)
    assert mine.synops == found.counts["synop"] > 100
    assert 4 * mine.reads == found.counts["weight_read_bytes"]
    assert 4 * mine.states == found.counts["neuron_state_read_bytes"] + found.counts["neuron_state_write_bytes"]
    assert mine.synops == theirs("lemaire", net, x).counts["synop"]


def test_four_estimators_on_one_net_are_an_order_apart_and_none_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """SpikingJelly's own advice: never compare figures across estimators. So each stands with its name."""
    net, x = net_of(), spikes()
    picojoules = {
        "simple (45 nm fp32, 24.96 pJ a byte)": theirs("simple", net, x).energy_total_pj,
        "lemaire": theirs("lemaire", net, x).total_pj,
        "neuromc, forward": theirs("neuromc_runtime", net, x).energy_total_pj,
        "spikesim": theirs("spikesim", net, x).energy_total_pj,
    }
    for name in ("loihi", "truenorth", "horowitz-45nm-fp32-memory", "horowitz-45nm-int8-memory"):
        picojoules[f"ours, {name}"] = 1e12 * estimate(ours(net, x), Prices.named(name)).joules
    with capsys.disabled():
        print("\npJ a run, estimated, not measured:", {name: round(value) for name, value in picojoules.items()})
    assert all(value > 0 for value in picojoules.values())
    assert max(picojoules.values()) > 10 * min(picojoules.values())


def test_their_arithmetic_at_horowitzs_prices_is_ours_where_only_synapses_work() -> None:
    """Their AC count adds the neurons' own operations to the synapses'; the prices of both are the same."""
    from spikingjelly.activation_based.op_counter import SimpleEnergyCostConfig

    prices = Prices.named("horowitz-45nm-fp32").prices
    cost = SimpleEnergyCostConfig.fp32()
    assert (cost.e_mac_pj, cost.e_ac_pj) == (prices["macs"].joules * 1e12, prices["synops"].joules * 1e12)
    net, x = net_of(), spikes()
    found, mine = theirs("simple", net, x), ours(net, x)
    assert found.energy_ac_pj == near(cost.e_ac_pj * found.counts["ac"])
    assert found.counts["ac"] > mine.synops
