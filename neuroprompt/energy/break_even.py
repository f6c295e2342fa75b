"""At which spike rate a generator would cost what an equal quantised network costs, and which rate it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.count_spikes import Node
from neuroprompt.energy.estimate import NOTE, estimate
from neuroprompt.errors import BadSetting, Unpriced
from neuroprompt.spiking.activity import Activity

PAPER = (
    "Yan et al., Reconsidering the energy efficiency of spiking neural networks, arXiv 2409.08290: on their hardware "
    "model below 5.7 % at T = 5 (v4), below 6.4 % for T from 5 to 10 (v2)"
)
ASSUMED = (
    "the T steps code one value, as a rate: a network that processes a signal in time has no equal that runs once",
    "the equal network has the same connections, each multiplied once with an activation of ceil(log2(T + 1)) bits, "
    "and one scaling, one bias and one stored result a neuron",
    "its multiplication costs what 8 bits cost (high), or that times bits / 8 (low): the price list has nothing below",
    "each synaptic operation and each multiplication reads its weight; neither side pays for addresses, routing or "
    "reading its inputs, nor for activations of the quantised network that are 0",
    "the spiking side pays for every update and its state in every step, whatever the rate",
)
PRICES = "horowitz-45nm-int8-memory"
"""The default list: the chip's weights are 8-bit integers too."""
NEEDED = ("macs", "synops", "synops_graded", "updates_active", "updates_inactive", "reads", "writes", "states")

Pair = tuple[float, float]


@dataclass(frozen=True)
class BreakEven:
    """The rate of events at which a spiking part costs what an equal quantised network of `bits` bits costs.

    rate              the share of the dense synaptic operations that took place
    break_even_rate   (low, high): the rate at which both cost the same, for either price of a `bits`-bit
                      multiplication; None where no rate is: there are no synapses, or `joules_rest` alone is more
    joules_spiking    of the run, of which joules_rest does not depend on the rate: updates, states, biases
    joules_dense      of all its synaptic operations, if every one took place
    joules_quantised  (low, high) of the equal network
    """

    prices: str
    steps: int
    neurons: int
    bits: int
    joules_spiking: float
    joules_rest: float
    joules_dense: float
    joules_quantised: Pair
    rate: float
    break_even_rate: tuple[float | None, float | None]

    def joules_at(self, rate: float) -> float:
        """What the spiking part would cost at another rate."""
        return self.joules_rest + rate * self.joules_dense

    @property
    def times(self) -> Pair:
        """(low, high): how many times the equal network's energy the spiking part costs."""
        low, high = self.joules_quantised
        return self.joules_spiking / high, self.joules_spiking / low

    def json(self) -> dict[str, object]:
        """The figures, with what was assumed and the paper."""
        pairs = {"joules_quantised": list(self.joules_quantised), "break_even_rate": list(self.break_even_rate)}
        return {**vars(self), **pairs, "assumed": list(ASSUMED), "paper": PAPER, "note": NOTE}

    def describe(self) -> str:
        """All of it in one line."""
        low, high = self.break_even_rate
        times = " to ".join(dict.fromkeys(f"{ratio:.1f}" for ratio in self.times))
        if high is None:
            why = "updates alone cost more" if self.rate else "it has no synapses, and an update in every step"
            rate = f"at no rate of events ({why})"
        else:
            rate = f"at a rate of events of {low or 0:.1%} to {high:.1%}; here it is {self.rate:.1%}"
        return (
            f"break-even ({self.prices}, T = {self.steps}; {NOTE.lower()}): {rate}; "
            f"it costs {times} times an equal {self.bits}-bit network"
        )


def break_even(activity: Activity, neurons: int, steps: int, prices: str | Prices) -> BreakEven:
    """The rate at which `activity` would cost what the equal quantised network costs.

    E_spiking(r) = E_rest + r S (e_synop + e_read), with S the dense synaptic operations of all T steps, r the share of
    them that takes place, and E_rest what does not depend on r: updates, states, biases.
    E_quantised = (S / T) (e_mac + e_read) + N (e_update + e_write) + its biases, at b = ceil(log2(T + 1)) bits.
    The break-even is the r at which both are equal. `prices` must price multiplications, updates and memory alike, or
    one side would be flattered: raises Unpriced. Raises BadSetting, UnknownName. Yan et al., arXiv 2409.08290.
    """
    if steps < 1 or neurons < 1:
        raise BadSetting(f"{steps} steps, {neurons} neurons", "each at least 1")
    prices = Prices.named(prices) if isinstance(prices, str) else prices
    lacking = [event for event in NEEDED if event not in prices.prices]
    if lacking:
        got = f"{', '.join(lacking)} without a price in {prices.name!r}"
        raise Unpriced(got, "prices of both networks and their memory", "for example horowitz-45nm-int8-memory")
    each = {event: prices.prices[event].joules for event in NEEDED}
    bits = ceil(log2(steps + 1))
    spent = estimate(activity, prices).joules
    graded = activity.synops_graded / activity.synops if activity.synops else 0.0
    synop = (1 - graded) * each["synops"] + graded * each["synops_graded"] + each["reads"]
    rest = spent - activity.synops * synop
    product = each["macs"] - each["synops"]  # a multiply-accumulate without its addition
    low, high = (
        activity.synops_dense / steps * (share * product + each["synops"] + each["reads"])
        + neurons * (each["updates_inactive"] + each["writes"])
        + (activity.reads - activity.synops) / steps * each["reads"]
        for share in (min(bits / 8, 1.0), 1.0)
    )
    dense = activity.synops_dense * synop

    def rate(joules: float) -> float | None:
        return (joules - rest) / dense if dense and joules > rest else None

    return BreakEven(
        prices=prices.name,
        steps=steps,
        neurons=neurons,
        bits=bits,
        joules_spiking=spent,
        joules_rest=rest,
        joules_dense=dense,
        joules_quantised=(low, high),
        rate=activity.rate,
        break_even_rate=(rate(low), rate(high)),
    )


def break_even_of(generator: Activity, nodes: Sequence[Node], prices: str | Prices = PRICES) -> BreakEven:
    """`break_even` of what was counted node by node; weights that are 0 are connections of neither side."""
    steps = max(node.steps for node in nodes)
    dense = sum((node.weights - node.zeros) * node.steps for node in nodes)
    return break_even(replace(generator, synops_dense=dense), sum(node.neurons for node in nodes), steps, prices)
