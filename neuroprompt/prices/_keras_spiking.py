"""What the lists from KerasSpiking's energy model share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices

KERAS = "KerasSpiking, ModelEnergy.devices (model_energy.py, 2021)"
DEGNAN = f"{KERAS}, from Degnan et al., Assessing trends in performance per watt, IEEE TVLSI 24(1), 2016"
HOEPPNER = (
    "Hoeppner et al., Dynamic power management for neuromorphic many-core systems, IEEE TCAS-I 66(8), 2019, "
    f"arXiv 1903.08941, as in {KERAS}"
)
LEAVES_OUT = (
    "by KerasSpiking's own notes: all overhead, such as data on and off the device; actual power depends heavily on "
    "software and hardware: very rough"
)


class KerasSpikingDevice(Prices):
    """A CPU or GPU: a price of one multiply-accumulate, which KerasSpiking calls very rough.

    KerasSpiking also takes one such operation for each neuron of the network; activations are not counted here.
    """

    scope = "per term"
    evidence = "estimated"
    voltage = "not stated where it was read"
    leaves_out = f"activations; {LEAVES_OUT}"


class KerasSpikingChip(Prices):
    """A neuromorphic chip: a price of a synaptic operation, and one of a neuron update."""

    scope = "per term"
    leaves_out = LEAVES_OUT
    includes: ClassVar[Mapping[str, str]] = {
        "spikes": "the model has two terms, synaptic operations and neuron updates: emitting belongs to the update, "
        "and what transport costs is left out"
    }


def multiply_accumulate(nanojoules: str) -> dict[str, Price]:
    """macs alone."""
    return {"macs": Price(float(f"{nanojoules}e-9"), f"{DEGNAN}: energy_per_synop")}


def synapses_and_neurons(source: str, synop: Price, update: float) -> dict[str, Price]:
    """A synaptic operation, and `update` joules for every neuron update, whether the neuron spikes or not."""
    each = Price(update, f"{source}: energy_per_neuron")
    return {"synops": synop, "updates_active": each, "updates_inactive": each}
