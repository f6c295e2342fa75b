"""What price lists share: Horowitz's figure, and the terms of KerasSpiking's model."""

from __future__ import annotations

from neuroprompt.contracts.deployment import Price

FIGURE = "Horowitz, Computing's Energy Problem (and what we can do about it), ISSCC 2014, Fig. 1.1.9"
TECHNOLOGY, VOLTAGE = "45 nm", "0.9 V"
LEAVES_OUT = (
    "memory traffic (the same figure has 10 to 100 pJ per 64 bits of cache and 1.3 to 2.6 nJ of DRAM), control, wires, "
    "static power, softmax and normalisation; the figure has no price for a neuron update or a spike"
)
LEAVES_OUT_MEMORY = (
    "DRAM (1.3 to 2.6 nJ per 64 bits in the same figure), traffic beyond each operand once, control, wires, static "
    "power, softmax and normalisation"
)
A_SPIKE = {"spikes": "a spike is the comparison of an update, and its sending is what its synaptic operations read"}

KERAS = "KerasSpiking, ModelEnergy.devices (model_energy.py, 2021)"
KERAS_LEAVES_OUT = (
    "by KerasSpiking's own notes: all overhead, such as data on and off the device; actual power depends heavily on "
    "software and hardware: very rough"
)
KERAS_SPIKES = {
    "spikes": "the model has two terms, synaptic operations and neuron updates: emitting belongs to the update, and "
    "what transport costs is left out"
}


def arithmetic(multiply: float, add: float, kind: str) -> dict[str, Price]:
    """macs, synops and synops_graded of one kind of number; picojoules."""
    both = f"{FIGURE}: {kind} multiply {multiply:g} pJ + {kind} add {add:g} pJ"
    return {
        "macs": Price(_joules(multiply + add), both),
        "synops": Price(_joules(add), f"{FIGURE}: {kind} add {add:g} pJ"),
        "synops_graded": Price(_joules(multiply + add), both),
    }


def update(multiply: float, add: float, kind: str) -> dict[str, Price]:
    """A neuron update as its arithmetic: a leak's multiplication and an addition; without a leak the addition alone.

    The figure has no neuron: which operations one is made of is ours. Comparison and reset are left out. Picojoules.
    """
    said = f"{FIGURE}: {kind} multiply {multiply:g} pJ (a leak; low: none) + {kind} add {add:g} pJ"
    price = Price(_joules(multiply + add), said, low=_joules(add))
    return {"updates_active": price, "updates_inactive": price}


def memory(bits: int, state_bits: int) -> dict[str, Price]:
    """Reading and writing a number of so many bits in a cache of 32 KB; from 8 KB (low) to 1 MB (high)."""
    return {"reads": _access(bits), "writes": _access(bits), "states": _access(state_bits)}


def _access(bits: int) -> Price:
    said = f"{FIGURE}: cache of 32 KB 20 pJ per 64 bits (8 KB: 10, 1 MB: 100), {bits} bits of them"
    small, middle, large = (_joules(picojoules * bits / 64) for picojoules in (10, 20, 100))
    return Price(middle, said, low=small, high=large)


def _joules(picojoules: float) -> float:
    """The double nearest to a decimal number of picojoules."""
    return float(f"{picojoules:.6g}e-12")
