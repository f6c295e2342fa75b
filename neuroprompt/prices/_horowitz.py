"""What the lists from Horowitz's figure share: its prices of arithmetic and memory, and what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from neuroprompt.contracts.deployment import Price, Prices

FIGURE = "Horowitz, Computing's Energy Problem (and what we can do about it), ISSCC 2014, Fig. 1.1.9"


class Horowitz(Prices):
    """Arithmetic alone, in 45 nm.

    A multiply-accumulate is one multiplication and one addition. A synaptic operation adds a weight: one addition, and
    a multiplication where its event carries a number. The figure has no neuron updates and no spikes: Unpriced where a
    run counts them.
    """

    scope = "per term"
    evidence = "estimated"
    technology = "45 nm"
    voltage = "0.9 V"
    leaves_out = (
        "memory traffic (the same figure has 10 to 100 pJ per 64 bits of cache and 1.3 to 2.6 nJ of DRAM), control, "
        "wires, static power, softmax and normalisation; the figure has no price for a neuron update or a spike"
    )


class HorowitzMemory(Horowitz):
    """Arithmetic, and the memory that feeds it: one list for generator and backbone, so the one to compare them by.

    Numbers are read from a cache of 32 KB at 20 pJ per 64 bits; the range is from 8 KB to 1 MB. Weights that need more
    cost more than this. A neuron update is a leak's multiplication and an addition, without a leak (low) the addition.
    """

    leaves_out = (
        "DRAM (1.3 to 2.6 nJ per 64 bits in the same figure), traffic beyond each operand once, control, wires, static "
        "power, softmax and normalisation"
    )
    includes: ClassVar[Mapping[str, str]] = {
        "spikes": "a spike is the comparison of an update, and sending it is what its synaptic operations read"
    }


def arithmetic(multiply: float, add: float, kind: str) -> dict[str, Price]:
    """macs, synops and synops_graded of one kind of number, and macs of 8-bit integers; picojoules."""
    both = f"{FIGURE}: {kind} multiply {multiply:g} pJ + {kind} add {add:g} pJ"
    return {
        "macs": Price(_joules(multiply + add), both),
        "synops": Price(_joules(add), f"{FIGURE}: {kind} add {add:g} pJ"),
        "synops_graded": Price(_joules(multiply + add), both),
        "macs_int8": Price(_joules(0.23), f"{FIGURE}: INT8 multiply 0.2 pJ + INT8 add 0.03 pJ, without a wider sum"),
    }


def update(multiply: float, add: float, kind: str) -> dict[str, Price]:
    """A neuron update as its arithmetic: a leak's multiplication and an addition; without a leak the addition alone.

    The figure has no neuron: which operations an update takes is our choice. Comparison and reset are left out.
    Picojoules.
    """
    source = f"{FIGURE}: {kind} multiply {multiply:g} pJ (a leak; low: none) + {kind} add {add:g} pJ"
    price = Price(_joules(multiply + add), source, low=_joules(add))
    return {"updates_active": price, "updates_inactive": price}


def memory(bits: int, state_bits: int) -> dict[str, Price]:
    """Reading and writing a number of that many bits in a cache of 32 KB; from 8 KB (low) to 1 MB (high)."""
    return {"reads": _access(bits), "writes": _access(bits), "states": _access(state_bits)}


def _access(bits: int) -> Price:
    source = f"{FIGURE}: cache of 32 KB 20 pJ per 64 bits (8 KB: 10, 1 MB: 100), {bits} bits of them"
    small, middle, large = (_joules(picojoules * bits / 64) for picojoules in (10, 20, 100))
    return Price(middle, source, low=small, high=large)


def _joules(picojoules: float) -> float:
    """The double nearest to a decimal number of picojoules."""
    return float(f"{picojoules:.6g}e-12")
