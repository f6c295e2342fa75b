"""A run on a Loihi 1, placed on its cores: joules with messages and hops, time, and their product; estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.mapping import Placement, mapped
from neuroprompt.contracts.deployment import Prices, Recording
from neuroprompt.energy.chip_events import chip_events
from neuroprompt.energy.estimate import NOTE, Term
from neuroprompt.energy.latency import Latency, latency
from neuroprompt.energy.units import si
from neuroprompt.errors import Unpriced, Unsupported
from neuroprompt.spiking.program import Program

PRICES = "sana-fe-loihi"
"""The list of a placed run, where no other prices its events."""


@dataclass(frozen=True)
class OnChip:
    """One run on a Loihi 1: where its neurons are, what they did there, and how long it would take.

    counts      events of the whole run (`neuroprompt.energy.chip_events.ChipEvents.counts`)
    """

    placement: Placement
    counts: Mapping[str, int]
    latency: Latency

    def terms(self, prices: Prices) -> tuple[Term, ...]:
        """Counts times the list's joules, messages and hops included; raises Unpriced where it does not price hops.

        An idle update costs what an inactive one does where the list has no price for it; a message what a spike does.
        """
        if "hops_x" not in prices.placed:
            lists = [name for name in Prices.names() if "hops_x" in Prices.part(name).placed]
            raise Unpriced(f"hops without a price in {prices.name!r}", "a list of a Loihi 1", ", ".join(lists))
        known = {**prices.prices, **prices.placed}
        instead = {"updates_idle": "updates_inactive", "messages": "spikes"}
        priced = {event: known.get(event) or known[instead[event]] for event in self.counts}
        return tuple(Term(event, count, priced[event]) for event, count in self.counts.items())

    def joules(self, prices: Prices) -> float:
        """Joules of the run; raises Unpriced."""
        return fsum(term.joules for term in self.terms(prices))

    def energy_delay(self, prices: Prices) -> float:
        """Joules times seconds of one run."""
        return self.joules(prices) * self.latency.run_s

    def json(self, prices: Prices | None = None) -> dict[str, Any]:
        """Placement, counts, terms and joules at `prices` (SANA-FE's unless given), time and energy-delay product."""
        prices = prices or Prices.named(PRICES)
        return {
            "placement": self.placement.json(),
            "counts": dict(self.counts),
            "prices": prices.name,
            "joules": self.joules(prices),
            "terms": [term.json() for term in self.terms(prices)],
            "latency": self.latency.json(),
            "energy_delay_js": self.energy_delay(prices),
            "note": NOTE,
        }

    def describe(self, prices: Prices | None = None) -> list[str]:
        """Energy, time and bottleneck in lines."""
        prices = prices or Prices.named(PRICES)
        time, cores = self.latency, self.placement.cores
        terms = {term.event: term.joules for term in self.terms(prices)}
        hops, messages = terms["hops_x"] + terms["hops_y"], terms["messages"]
        low, high = time.band_s
        return [
            f"on a Loihi 1, {len(cores)} core{'s' * (len(cores) != 1)} ({NOTE.lower()}): a run takes "
            f"{si(self.joules(prices))} at {prices.name}; of it {si(messages)} for {self.counts['messages']:,} "
            f"messages and {si(hops)} for {self.counts['hops_x'] + self.counts['hops_y']:,} hops between tiles",
            f"time there ({NOTE.lower()}): {time.step_s * 1e6:.2f} us a step, {time.run_s * 1e6:.1f} us a run of "
            f"{time.steps} steps ({low * 1e6:.1f} to {high * 1e6:.1f}, the 25 % of SANA-FE's paper); "
            f"{self._bottleneck()}; energy-delay product {self.energy_delay(prices):.3g} Js",
        ]

    def _bottleneck(self) -> str:
        number, cores = self.latency.bottleneck, self.placement.cores
        if number >= len(cores):
            return f"the busiest core sends input lines, {self.latency.bottleneck_busy:.0%} of the time"
        names = ", ".join(repr(name) for name in cores[number].holds)
        return f"the busiest core is {number} ({names}), {self.latency.bottleneck_busy:.0%} of the time"


def on_chip(program: Program, recording: Recording, sent: NDArray[Any]) -> OnChip:
    """One run (T, n) of a fixed program placed on a Loihi 1; `sent` is what Program.encode made of its inputs.

    Raises Unsupported for what a Loihi 1 cannot do: numbers on lines or axons, more than a chip; and where the
    recording has no potentials.
    """
    if program.precision != "fixed" or program.input_scale:
        got = "a program of floats" if program.precision != "fixed" else "numbers on the input lines"
        raise Unsupported(
            f"{got}, which a Loihi 1 does not have", "integers and spikes", "--precision fixed, export --encode"
        )
    silent = {name: np.zeros(values.shape, bool) for name, values in recording.values.items()}
    emitted = {"input": sent, **recording.spikes, **silent}
    potentials = {**recording.v, **recording.values}
    for p in program.populations:
        if p.name not in potentials:
            raise Unsupported(f"no potentials of node {p.name!r}", "a recording with states=True")
    placement = mapped(program, emitted)
    if placement.too_large:
        raise Unsupported(placement.too_large[0], "a net that fits one Loihi 1")
    events = chip_events(program, emitted, potentials, placement)
    return OnChip(placement, events.counts, latency(events))
