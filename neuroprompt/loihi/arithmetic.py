"""Loihi's step arithmetic in numpy, on programs: Lava 0.10.0's rules for Dense and LIF, float and bit-accurate.

A population's input of chip step t + depth is what its sources emit at their step t - lag, and before chip step
`depth` it is at rest (nothing arrives, and no threshold is below 0), so states are those of the graph's steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from neuroprompt.loihi import reach as ranges
from neuroprompt.loihi.neurons import FixedNeurons, FloatNeurons, Trace
from neuroprompt.loihi.reach import magnitude, most_by_weights, reach
from neuroprompt.loihi.synapses import Product, arriving_fixed, stepwise_fixed
from neuroprompt.loihi.synapses_float import weighted_sums_float
from neuroprompt.spiking.program import Population, Program, Projection

Array = NDArray[Any]
Neurons = FixedNeurons | FloatNeurons

DECAY_ONE, SHIFT, HALF = ranges.DECAY_ONE, ranges.SHIFT, ranges.HALF
MANTISSA = (-4096, 4095)
VTH_MAX = 2**17 - 1
SUM_END = 2**15
"""Where the sum of a step, in weight units, wraps on a Loihi 1 (`neuroprompt.loihi.loihi1`)."""
EXPONENTS = (-8, 7)
"""Of weights: what 4 bits hold."""

NEAR = 2**17
"""Neurons of all items that are stepped at a time: three arrays of them stay near the processor."""
BLOCK = 2**18
"""Lines, or neurons, of all items and steps whose sums are made at a time."""
CELLS = 2**23
"""The same where the sums of all steps are needed at once."""


def simulate(program: Program, inputs: Array) -> dict[str, Trace]:
    """Run `program` from rest on `inputs` (T, n_in), or on each of a batch (B, T, n_in): a Trace for every population.

    Raises what Program.encode does.
    """
    return simulate_sent(program, program.encode(inputs))


def simulate_sent(
    program: Program,
    sent: Array,
    states: bool = True,
    *,
    products: Mapping[Projection, Product] | None = None,
    spikes: Mapping[str, Array] | None = None,
) -> dict[str, Trace]:
    """`simulate` of what Program.encode gave; `states` says whether u and v of neurons that fire are kept.

    `products` are faster ways to the same sums of spikes (`neuroprompt.simulators.products`); `spikes` are arrays
    (..., T, n) of the caller, by population, in which the traces keep theirs. Populations that no cycle joins are run
    one after the other, those of a cycle together, step by step; of a batch as many items, and of their sums as many
    steps, as stay near the processor. Every item takes the same numbers in the same order as alone.
    """
    emitted: dict[str, Array] = {"input": sent}
    traces: dict[str, Trace] = {}
    for part in cycles(program):
        kept = {p.name: np.empty((*sent.shape[:-2], program.steps, p.size), bool) for p in part}
        kept |= {name: array for name, array in (spikes or {}).items() if name in kept}
        layer = _Layer(program, part, emitted, kept, products=products or {}, states=states)
        runs = [layer.run(items) for items in layer.items()]
        traces |= {name: Trace.joined([run[name] for run in runs], array) for name, array in kept.items()}
        emitted |= kept
    return {p.name: traces[p.name] for p in program.populations}


def cycles(program: Program) -> list[list[Population]]:
    """The populations in parts that cycles join, each part after those that reach it, in the program's order."""
    number = {p.name: i for i, p in enumerate(program.populations)}
    edges = [(number[q.source], number[q.target]) for q in program.projections if q.source in number]
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    joined = coo_matrix((np.ones(len(edges)), (rows, columns)), (len(number),) * 2)
    count, part = connected_components(joined, directed=True, connection="strong")
    waiting = {i: {part[s] for s, t in edges if part[t] == i and part[s] != i} for i in range(count)}
    order: list[int] = []
    while waiting:
        ready = min((i for i, before in waiting.items() if not before), key=lambda i: int(np.argmax(part == i)))
        order.append(ready)
        del waiting[ready]
        for before in waiting.values():
            before.discard(ready)
    return [[p for p in program.populations if part[number[p.name]] == i] for i in order]


class _Layer:
    """Populations that are stepped together, with the spikes `emitted` before them; theirs go to `spikes`."""

    def __init__(
        self,
        program: Program,
        part: list[Population],
        emitted: Mapping[str, Array],
        spikes: Mapping[str, Array],
        *,
        products: Mapping[Projection, Product],
        states: bool,
    ) -> None:
        self.program, self.part, self.products, self.states = program, part, products, states
        self.spikes, self.fixed = spikes, program.precision == "fixed"
        into = [q for p in part for q in program.into(p.name)]
        self.emitted = {q.source: emitted[q.source] for q in into if q.source in emitted}
        inner = [q for q in into if q.source in spikes]
        self.deliver = [
            (q, stepwise_fixed(q) if self.fixed else partial(weighted_sums_float, q.weights)) for q in inner
        ]
        looped = {q.target for q in inner}
        self.most = {p.name: most_by_weights(program, p) for p in part} if self.fixed else {}
        self.unknown = [
            p.name
            for p in part
            if self.fixed and p.name not in looped and not reach(p, program.steps, self.most[p.name]).narrow
        ]
        """Populations whose largest sum is looked up, in the sums of all steps: it may allow more than the weights."""
        self.whole = not self.fixed or bool(self.unknown)
        self.neurons = max(p.size for p in part)
        self.widest = max(self.neurons, *(array.shape[-1] for array in self.emitted.values()), 1)

    def items(self) -> list[Any]:
        """What to run at a time: `...` for a single run, and slices of a batch."""
        shape = next(iter(self.spikes.values())).shape
        if len(shape) == 2:
            return [...]
        cells = CELLS // max(1, self.program.steps * self.widest) if self.whole else NEAR // self.neurons
        return [slice(i, i + max(1, cells)) for i in range(0, shape[0], max(1, cells))]

    def run(self, items: Any) -> dict[str, Trace]:
        """All steps of some items."""
        emitted = {name: array[items] for name, array in self.emitted.items()}
        own = {name: array[items] for name, array in self.spikes.items()}
        batch, steps = next(iter(own.values())).shape[:-2], self.program.steps
        block = max(1, steps if self.whole else BLOCK // (self.widest * max(1, *batch, 1)))
        run: dict[str, Neurons] = {}
        with np.errstate(invalid="ignore"):  # of what one wrap leaves beyond 32 bits
            for start in range(0, max(1, steps), block):
                now = range(start, min(start + block, steps))
                arriving = {p.name: self._arriving(p, emitted, batch, now) for p in self.part}
                if not run:
                    run = {p.name: self._at_rest(p, batch, arriving[p.name], own[p.name]) for p in self.part}
                for t, p in product(now, self.part):
                    a = arriving[p.name][..., t - start, :]
                    for q, sums_of in self.deliver:
                        if q.target == p.name and t >= q.lag:
                            a = np.add(a, sums_of(run[q.source].spikes[..., t - q.lag, :]), dtype=np.float64)
                    run[p.name].step(t, a)
        return {name: neurons.trace() for name, neurons in run.items()}

    def _at_rest(self, p: Population, batch: tuple[int, ...], sums: Array, spikes: Array) -> Neurons:
        sizes = (p, self.program.steps, batch, self.states or p.emits == "v")
        neurons: Neurons
        if self.fixed:
            most = magnitude(sums) if p.name in self.unknown else self.most[p.name]
            neurons = FixedNeurons(*sizes, most=most)
        else:
            neurons = FloatNeurons(*sizes)
        neurons.spikes = spikes
        return neurons

    def _arriving(self, p: Population, emitted: Mapping[str, Array], batch: tuple[int, ...], now: range) -> Array:
        """What a population gets in these steps from sources before it, and from its currents, (..., steps, n)."""
        known = [q for q in self.program.into(p.name) if q.source in emitted]
        delivered = []
        for q in known:
            if now.stop <= q.lag:
                continue
            sent = emitted[q.source][..., max(0, now.start - q.lag) : max(0, now.stop - q.lag), :]
            faster = self.products.get(q)
            delivered.append(arriving_fixed(q, sent, faster) if self.fixed else weighted_sums_float(q.weights, sent))
        if len(known) == 1 and not known[0].lag and not p.currents:
            return delivered[0]
        a: Array = np.zeros((*batch, len(now), p.size))
        for sums in delivered:
            a[..., len(now) - sums.shape[-2] :, :] += sums
        for onset, values in p.currents:
            a[..., max(0, onset - now.start) :, :] += values
        return a
